"""Tracking for programs in other languages: `trackastra-engine serve`, protocol 1.

**Connection.** A client connects to a local socket, or starts the engine and uses its standard
input and output. It sends requests and reads one reply to each, in order. Each connection has its
own session (online/session.py), which ends with it: clients do not see each other's fields of view.

**Message.** Requests and replies have one form; all numbers are little-endian:

    4 bytes   TAE1, the protocol and its version
    uint32    H, bytes of the header
    uint64    B, bytes of all arrays
    H bytes   header: a JSON object in UTF-8
    B bytes   the arrays, one after the other, in C order

The header has a "type", the fields of that type, and the list of arrays, if any, in order:

    {"type":"push","fov":"A1","arrays":[{"name":"mask","dtype":"uint16","shape":[512,512]}]}

A dtype is one of int8 to int64, uint8 to uint64, float32 and float64; a shape in a request has 1 to
3 sides below 2^20. Replies have no spaces and a fixed order of keys, so that a client without a
JSON library can search them.

**Requests.** The name of a field of view is a text or a whole number (0 by default). Frames are
numbered by the client, or else counted.

    hello         Replies hello: protocol, engine, model, ndim, delay, limits.
    prepare       Arrays as for push, of a typical frame: the engine compiles its code, so that
                  later frames of these types and size do not wait. Replies ready.
    push          Fields fov and frame; arrays mask ([Z,] Y, X) of labels and optionally image of
                  the same shape. Replies update, or with `--delay` waiting at first.
    push_points   Instead of masks: the array position (N, D) in pixels, ([z,] y, x), and optionally
                  label, diameter (pixels) and intensity, each (N,). Replies as push.
    finish        Field fov, which the session then forgets. Replies tracks.
    bye           Replies bye, and the server closes the connection.

**Replies.** All their arrays are int64 or float64.

    update        The result of a frame, with the names of online/update.py: fov, frame, n_missed
                  and final_frame, and arrays such as objects.label, objects.track, links.score,
                  removed_links.target_label, divisions.track (mother, daughter, daughter, and so
                  on).
    tracks        objects and links of all frames, and tracklets (K, 4): number, first frame, last
                  frame, parent's number or 0. objects.track contains these numbers (from
                  1), not those of the updates.
    error         A sentence in "message". The session is unchanged and continues.

**Limits.** A message whose header, arrays or objects exceed the limits (reported by hello) is
rejected before memory is allocated for it. A session grows with its tracks, about 150 bytes per
object, until a field of view is finished. The connection ends with an error if the next message
cannot be found: wrong first 4 bytes, too long a header, a message that is not complete after 30 s.
Sixteen clients are served at a time; another one gets an error, and its connection ends. A client
may be silent for any time: it stays connected until it ends, or the system finds that its machine
is gone (TCP keepalive, by default after some hours). Nothing in a message is executed or names a
file.

messages.py reads and writes messages, conversation.py answers them, replies.py builds replies,
streams.py and server.py connect; examples/ has clients in Python and C.
"""

from trackastra_engine.serving.address import listen
from trackastra_engine.serving.messages import Limits
from trackastra_engine.serving.server import serve_sockets, serve_standard_streams

__all__ = ["Limits", "listen", "serve_sockets", "serve_standard_streams"]
