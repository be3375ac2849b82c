"""What is in an h5 file of weights, found by walking through it.

HDF5 trusts its files. Attributes, of which a damaged one can hang it, are not read; links out of the file and into
circles are not followed; nothing is read before its shape is known to be right.
"""

from tfbert.common.errors import UserError

MOST = 100_000  # groups and arrays in a file
RATIO = 20  # how many times smaller than its arrays a file may be, by compression
NOT_OF_THE_MODEL = {"optimizer_weights", "top_level_model_weights"}


def datasets(file, name):
    """{path: h5py.Dataset} of an open h5py.File; name: of the file, for messages.

    Raises UserError for links that lead elsewhere, and for arrays that the file cannot hold.
    """
    import h5py

    found, seen, waiting = {}, set(), [(file, "")]
    while waiting:
        group, start = waiting.pop()
        for key in group:
            path = f"{start}/{key}" if start else key
            if path in NOT_OF_THE_MODEL:
                continue
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise UserError(f"{name}: {path} is a link to somewhere else, which is not followed")
            entry = group[key]
            address = h5py.h5o.get_info(entry.id).addr
            if address in seen and isinstance(entry, h5py.Group):
                raise UserError(f"{name}: {path} leads back into itself: damaged")
            seen.add(address)
            if len(seen) > MOST:
                raise UserError(f"{name} holds more than {MOST:,} entries: not a model's weights")
            if isinstance(entry, h5py.Group):
                waiting.append((entry, path))
            elif isinstance(entry, h5py.Dataset):
                if entry.is_virtual or entry.external:
                    raise UserError(f"{name}: {path} lies in another file, which is not read")
                found[path] = entry
    held, room = sum(entry.size or 0 for entry in found.values()), file.id.get_filesize()
    if held > RATIO * room:
        raise UserError(f"{name}: its arrays have {held:,} numbers, but the file only {room:,} bytes: damaged")
    return found
