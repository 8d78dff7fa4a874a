"""Loops along the sides of pixels."""

from trackastra_engine.kernels import kernel


@kernel
def trace_outlines(objects, is_seen, directions, ways, steps):
    """Trace the outlines of objects (Y, X), whose margin is background; return their number L.

    Fills `ways` (L, 4) with object, x, y and length, and `steps` (sides of pixels,); marks pixels
    whose upper side was traced in `is_seen` (Y, X). Every outline has such a side.
    """
    n_ways = n_steps = 0
    for row in range(1, objects.shape[0]):
        for column in range(1, objects.shape[1]):
            own = objects[row, column]
            if own == 0 or is_seen[row, column] or objects[row - 1, column] == own:
                continue
            x, y, step, first = column, row, 0, n_steps
            while n_steps == first or x != column or y != row or step != 0:
                if step == 0:
                    is_seen[y, x] = True
                steps[n_steps] = step
                n_steps += 1
                x += directions[step, 0]
                y += directions[step, 1]
                # The pixels ahead: to the right of the outline, and to the left.
                right_y, right_x = y - (step > 1), x - (step == 1 or step == 2)
                left_y, left_x = y - (step == 0 or step == 3), x - (step > 1)
                if objects[right_y, right_x] != own:
                    step = (step + 1) % 4
                elif objects[left_y, left_x] == own:
                    step = (step + 3) % 4
            ways[n_ways, 0] = own
            ways[n_ways, 1] = column
            ways[n_ways, 2] = row
            ways[n_ways, 3] = n_steps - first
            n_ways += 1
    return n_ways
