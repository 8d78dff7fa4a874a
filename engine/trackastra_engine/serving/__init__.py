"""Tracking for programs in other languages: `trackastra-engine serve`, protocol 1.

**Connection.** A client connects to a local socket, or starts the engine and speaks through its
standard input and output. It sends requests and reads one reply to each, in turn. A connection
has a session of its own (online/session.py), which ends with it: several clients do not see
each other's fields of view.

**Message.** Requests and replies look alike; all numbers are little-endian:

    4 bytes   TAE1, the protocol and its version
    uint32    H, bytes of the header
    uint64    B, bytes of all arrays
    H bytes   header: a JSON object in UTF-8
    B bytes   the arrays, one after the other, in C order

The header has a "type", what the type needs, and if there are arrays, their list in their order:

    {"type":"push","fov":"A1","arrays":[{"name":"mask","dtype":"uint16","shape":[512,512]}]}

A dtype is one of int8 to int64, uint8 to uint64, float32 and float64; a shape in a request has 1 to
3 sides below 2^20. Replies are written without spaces and with their keys in one order, so that a
client without a JSON library can search them.

**Requests.** Fields of view have names, texts or whole numbers (0 if left out), and frames are
numbered by the client, or counted.

    hello         Replies hello: protocol, engine, model, ndim, delay, limits.
    prepare       Arrays as of push: a frame like those to come, after which none of its types and
                  size waits for what is compiled only once. Replies ready.
    push          Fields fov and frame; arrays mask ([Z,] Y, X) of labels and, if there is one,
                  image of the same shape. Replies update, or with `--delay` waiting at first.
    push_points   In place of masks: the array position (N, D) in pixels, ([z,] y, x), and if known
                  label, diameter (pixels) and intensity, each (N,). Replies as push.
    finish        Field fov, which is forgotten. Replies tracks.
    bye           Replies bye, and the server closes the connection.

**Replies.** All their arrays are int64 or float64.

    update        What the frame made known, with the names of online/update.py: fov, frame,
                  n_missed and final_frame, and arrays such as objects.label, objects.track,
                  links.score, removed_links.target_label, divisions.track (mother, daughter,
                  daughter, and so on).
    tracks        objects and links of all frames, and tracklets (K, 4): number, first frame, last
                  frame, parent's number or 0. objects.track are these numbers, from 1 on, not
                  those of the updates.
    error         A sentence in "message". The session stays as it was, and goes on.

**Limits.** A message with a header, arrays or objects beyond the limits, which hello tells, is
refused before memory is taken for it. A session grows by its tracks, some 150 bytes an object,
until a field of view is finished. The connection ends, after an error, where the next message
cannot be found: a wrong first 4 bytes, too long a header, a message that does not go on for 30 s.
Sixteen clients are served at a time; one more gets an error, and its connection ends. A client may
be silent for as long as it likes: it keeps its place until it ends, or the system finds that its
machine is gone (TCP keepalive, by default after some hours). Nothing in a message is executed, or
names a file.

messages.py reads and writes messages, conversation.py answers them, replies.py holds what to say,
streams.py and server.py connect; examples/ has clients in Python and C.
"""

from trackastra_engine.serving.address import listen
from trackastra_engine.serving.messages import Limits
from trackastra_engine.serving.server import serve_sockets, serve_standard_streams

__all__ = ["Limits", "listen", "serve_sockets", "serve_standard_streams"]
