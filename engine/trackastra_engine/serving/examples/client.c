/* A client of `trackastra-engine serve` in C99 with POSIX sockets; copy it as you like.
 *
 *     cc -std=c99 -Wall -Wextra -o client client.c
 *     trackastra-engine serve &
 *     ./client
 *
 * It sends a few frames and prints the replies. The protocol is described in
 * trackastra_engine/serving/__init__.py.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIDE = 64, PREFIX_BYTES = 16 };

typedef struct {
    char *header; /* JSON, ends with 0 */
    char *arrays; /* raw bytes */
} Reply;

static void fail(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
    exit(1);
}

static void send_all(int server, const void *data, size_t n_bytes)
{
    const char *rest = data;
    while (n_bytes > 0) {
        ssize_t n_sent = send(server, rest, n_bytes, 0);
        if (n_sent <= 0)
            fail("the engine is gone");
        rest += n_sent;
        n_bytes -= (size_t)n_sent;
    }
}

static char *receive(int server, size_t n_bytes)
{
    char *data = malloc(n_bytes + 1);
    if (data == NULL)
        fail("no memory");
    for (size_t n_read = 0; n_read < n_bytes;) {
        ssize_t n = recv(server, data + n_read, n_bytes - n_read, 0);
        if (n <= 0)
            fail("the engine is gone");
        n_read += (size_t)n;
    }
    data[n_bytes] = 0;
    return data;
}

static uint64_t little_endian(const unsigned char *bytes, int n_bytes)
{
    uint64_t value = 0;
    while (n_bytes-- > 0)
        value = value << 8 | bytes[n_bytes];
    return value;
}

/* Send a request with at most one array and return the reply. */
static Reply ask(int server, const char *header, const void *array, size_t array_bytes)
{
    unsigned char prefix[PREFIX_BYTES] = {'T', 'A', 'E', '1'};
    for (int i = 0; i < 4; i++)
        prefix[4 + i] = (unsigned char)((uint64_t)strlen(header) >> (8 * i));
    for (int i = 0; i < 8; i++)
        prefix[8 + i] = (unsigned char)((uint64_t)array_bytes >> (8 * i));
    send_all(server, prefix, PREFIX_BYTES);
    send_all(server, header, strlen(header));
    send_all(server, array, array_bytes);

    unsigned char *begin = (unsigned char *)receive(server, PREFIX_BYTES);
    Reply reply;
    reply.header = receive(server, little_endian(begin + 4, 4));
    reply.arrays = receive(server, little_endian(begin + 8, 8));
    free(begin);
    if (strstr(reply.header, "\"type\":\"error\"") != NULL)
        fail(reply.header);
    return reply;
}

static void forget(Reply reply)
{
    free(reply.header);
    free(reply.arrays);
}

/* Return an array of int64 and the length of its first axis. All entries have 8 bytes. */
static const unsigned char *find(Reply reply, const char *name, long *length)
{
    const unsigned char *place = (const unsigned char *)reply.arrays;
    const char *entry = reply.header;
    while ((entry = strstr(entry, "{\"name\":\"")) != NULL) {
        entry += strlen("{\"name\":\"");
        int is_found = strncmp(entry, name, strlen(name)) == 0 && entry[strlen(name)] == '"';
        entry = strstr(entry, "\"shape\":[");
        if (entry == NULL)
            break;
        entry += strlen("\"shape\":[");
        long n_entries = 1;
        for (int axis = 0; *entry != ']'; axis++) {
            char *end;
            long size = strtol(entry, &end, 10);
            if (axis == 0)
                *length = size;
            n_entries *= size;
            entry = *end == ',' ? end + 1 : end;
        }
        if (is_found)
            return place;
        place += 8 * n_entries;
    }
    fail("a reply lacks an array");
    return NULL;
}

static long at(const unsigned char *array, long index)
{
    return (long)(int64_t)little_endian(array + 8 * index, 8);
}

/* Draw a cell 8 pixels wide. */
static void draw(unsigned char *mask, int y, int x, int height, unsigned char label)
{
    for (int row = y; row < y + height; row++)
        memset(mask + row * SIDE + x, label, 8);
}

static void push(int server, int frame)
{
    unsigned char mask[SIDE * SIDE] = {0};
    draw(mask, 10, 10 + 3 * frame, 8, 1);
    if (frame < 3) {
        draw(mask, 40, 20 + 2 * frame, 8, 2);
    } else { /* cell 2 has divided */
        draw(mask, 36, 26, 6, 3);
        draw(mask, 46, 26, 6, 4);
    }
    Reply update = ask(server,
                       "{\"type\":\"push\",\"fov\":\"A1\",\"arrays\":[{\"name\":\"mask\","
                       "\"dtype\":\"uint8\",\"shape\":[64,64]}]}",
                       mask, sizeof mask);
    long n = 0;
    const unsigned char *label = find(update, "objects.label", &n);
    const unsigned char *track = find(update, "objects.track", &n);
    printf("frame %d:", frame);
    for (long i = 0; i < n; i++)
        printf("%s %ld in track %ld", i > 0 ? "," : "", at(label, i), at(track, i));
    printf("\n");
    const unsigned char *division = find(update, "divisions.track", &n);
    for (long i = 0; i < n; i += 3)
        printf("track %ld divided into %ld and %ld\n", at(division, i), at(division, i + 1),
               at(division, i + 2));
    forget(update);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {0};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 41800));
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address) < 0)
        fail("no engine listens; start trackastra-engine serve");
    int yes = 1;
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);

    for (int frame = 0; frame < 4; frame++)
        push(server, frame);
    Reply tracks = ask(server, "{\"type\":\"finish\",\"fov\":\"A1\"}", "", 0);
    long n = 0;
    const unsigned char *table = find(tracks, "tracklets", &n);
    for (long i = 0; i < n; i++)
        printf("tracklet %ld: frames %ld to %ld, parent %ld\n", at(table, 4 * i),
               at(table, 4 * i + 1), at(table, 4 * i + 2), at(table, 4 * i + 3));
    forget(tracks);
    close(server);
    return 0;
}
