"""A disk in memory that forgets what was not synced when its power is cut.

usage: disk.py MOUNTPOINT

It takes one command a line on standard input and answers each with one line:

  cut worst      nothing that was not synced is there any more; the caller has killed whoever
                 used the disk
  cut SEED       what a power cut at this instant may leave is the disk from now on. The
                 answer says what was lost.
  size BYTES     how large the file system is; 0 is without an end
  slow SECONDS   how long each sync takes
  fail WHAT      writes, syncs and changes of names give EIO (on), or EROFS as those of a file
                 system that is mounted read-only (readonly), or what is right (off)
  used           bytes in files
  save FILE      the state before the last cut, for replay
  wipe           an empty disk

  disk.py replay FILE SEED FOLDER   makes the files that `cut SEED` left of a saved state

What a cut may leave: of each file's writes since its last sync all, none, any subset,
any of their sectors of 512 bytes, or the data without the size or the size without the
data; truncations may be missing as other writes. Of names either the begin of one
journal, or the begin of each folder's changes on its own; a folder whose name is
missing takes all below with it. A sync of a file keeps no name, a sync of a folder
its names alone. Needs the Debian package python3-fusepy.
"""
import errno
import os
import pickle
import random
import stat
import sys
import threading
import time

SECTOR = 512


class Node:
    """A file, socket or folder; its names are those of the folders."""

    def __init__(self, mode):
        self.mode = mode
        self.time = time.time()
        self.data = bytearray()
        self.names = {} if stat.S_ISDIR(mode) else None
        self.safe = bytes()  # of a file: its data at the last sync
        self.pending = []  # of a file: writes (offset, bytes) and truncations (length, None) since then
        self.safe_names = {}

    def write(self, offset, data):
        self.pending.append((offset, data))
        apply(self.data, offset, data)


def apply(b, offset, data):
    if data is None:  # a truncation
        if offset < len(b):
            del b[offset:]
        else:
            b.extend(bytes(offset - len(b)))
        return
    if offset > len(b):
        b.extend(bytes(offset - len(b)))
    b[offset:offset + len(data)] = data


class Disk:
    """What is on it and what is safe. names_pending are changes of names in order:
    (folder, name, node or None)s that happen together."""

    def __init__(self):
        self.root = Node(stat.S_IFDIR | 0o755)
        self.names_pending = []

    def change(self, *changes):
        for folder, name, node in changes:
            put(folder.names, name, node)
        self.names_pending.append(changes)

    def sync_folder(self, folder):
        rest = []
        for changes in self.names_pending:
            # A rename from one folder to another is safe once either is synced.
            if any(c[0] is folder for c in changes):
                for f, name, node in changes:
                    put(f.safe_names, name, node)
            else:
                rest.append(changes)
        self.names_pending = rest

    def cut(self, rnd):
        """Makes a possible state after a cut the state, and says what is missing."""
        lost = {"names": 0, "files": 0}
        if rnd.random() < 0.5:
            kept = self.names_pending[:rnd.randint(0, len(self.names_pending))]
        else:
            left = {}  # by folder: how many of its changes are kept
            for changes in self.names_pending:
                for c in changes:
                    left[id(c[0])] = left.get(id(c[0]), 0) + 1
            for key in left:
                left[key] = rnd.choice((0, left[key], rnd.randint(0, left[key])))
            kept = []
            for changes in self.names_pending:
                keep = all(left[id(c[0])] > 0 for c in changes)
                for c in changes:
                    left[id(c[0])] = left[id(c[0])] - 1 if keep else 0
                if keep:
                    kept.append(changes)
        lost["names"] = len(self.names_pending) - len(kept)
        for changes in kept:
            for folder, name, node in changes:
                put(folder.safe_names, name, node)
        self.names_pending = []
        self.settle(self.root, rnd, lost, set())
        return lost

    def settle(self, node, rnd, lost, seen):
        if id(node) in seen:  # a file with two names
            return
        seen.add(id(node))
        if node.names is None:
            after = torn(node, rnd)
            if after != node.data:
                lost["files"] += 1
            node.data, node.safe, node.pending = bytearray(after), bytes(after), []
            return
        node.names = {name: n for name, n in node.safe_names.items() if not stat.S_ISSOCK(n.mode)}
        node.safe_names = dict(node.names)
        for name in sorted(node.names):
            self.settle(node.names[name], rnd, lost, seen)

    def used(self):
        total, seen, folders = 0, set(), [self.root]
        while folders:
            for n in folders.pop().names.values():
                if n.names is not None:
                    folders.append(n)
                elif id(n) not in seen:
                    seen.add(id(n))
                    total += (len(n.data) + 4095) // 4096 * 4096
        return total


class Worst(random.Random):
    """Keeps nothing."""

    def random(self):
        return 0

    def randint(self, a, b):
        return a

    def choice(self, seq):
        return "none"


def chance(seed):
    return Worst() if seed == "worst" else random.Random(int(seed))


def put(names, name, node):
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def torn(node, rnd):
    """Returns what a file may hold after a cut."""
    b = bytearray(node.safe)
    how = rnd.choice(("all", "none", "some", "sectors", "no size", "no data"))
    for offset, data in node.pending:
        if how == "all" or how == "some" and rnd.random() < 0.5:
            apply(b, offset, data)
        elif data is None:
            if how in ("sectors", "no data") and rnd.random() < 0.5:
                apply(b, offset, data)
        elif how == "sectors":
            for at in range(0, len(data), SECTOR):
                if rnd.random() < 0.5:
                    apply(b, offset + at, data[at:at + SECTOR])
        elif how == "no size":
            if offset < len(b):
                apply(b, offset, data[:len(b) - offset])
        elif how == "no data" and offset + len(data) > len(b):
            apply(b, offset + len(data), None)
    return b


def replay(saved, seed, to):
    with open(saved, "rb") as f:
        disk = pickle.load(f)
    print(disk.cut(chance(seed)))

    def write(node, path):
        if node.names is None:
            with open(path, "wb") as f:
                f.write(node.data)
            return
        os.makedirs(path, exist_ok=True)
        for name, n in node.names.items():
            write(n, os.path.join(path, name))
    write(disk.root, to)


def serve(mountpoint):
    from fusepy import FUSE, FuseOSError, Operations

    lock = threading.RLock()
    options = {"size": 0, "slow": 0.0, "fail": "off"}
    state = {"disk": Disk(), "before": None}
    handles = {}
    hidden = {}  # files that are open and have no name any more, by the one that libfuse gives them

    def fail(number):
        raise FuseOSError(number)

    def find(path):
        if path in hidden:
            return hidden[path]
        node = state["disk"].root
        for name in path.split("/"):
            if name:
                node = (node.names or {}).get(name) or fail(errno.ENOENT)
        return node

    def parent(path):
        folder, name = os.path.split(path)
        node = find(folder)
        if node.names is None:
            fail(errno.ENOTDIR)
        return node, name

    def room(size):
        sick()
        if options["size"] and size > 0 and state["disk"].used() + size > options["size"]:
            fail(errno.ENOSPC)

    def sick():
        if options["fail"] != "off":
            fail(errno.EROFS if options["fail"] == "readonly" else errno.EIO)

    def locked(f):
        def call(*args, **kwargs):
            with lock:
                return f(*args, **kwargs)
        return call

    def opened(node):
        number = len(handles) + 1
        while number in handles:
            number += 1
        handles[number] = node
        return number

    class Served(Operations):
        def init(self, path):
            print("ready", flush=True)

        @locked
        def getattr(self, path, fh=None):
            n = handles[fh] if fh in handles else find(path)
            return {"st_mode": n.mode, "st_nlink": 2 if n.names is not None else 1, "st_size": len(n.data),
                    "st_uid": os.getuid(), "st_gid": os.getgid(), "st_atime": n.time, "st_mtime": n.time,
                    "st_ctime": n.time, "st_blocks": (len(n.data) + 511) // 512, "st_blksize": 4096}

        @locked
        def statfs(self, path):
            size = options["size"] or 1 << 30
            free = max(0, size - state["disk"].used()) // 4096
            return {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": size // 4096, "f_bfree": free, "f_bavail": free,
                    "f_files": 100000, "f_ffree": 100000, "f_favail": 100000, "f_namemax": 255}

        @locked
        def readdir(self, path, fh):
            return [".", ".."] + list(find(path).names)

        def make(self, path, mode):
            folder, name = parent(path)
            if name in folder.names:
                fail(errno.EEXIST)
            room(4096)
            node = Node(mode)
            state["disk"].change((folder, name, node))
            return node

        @locked
        def mknod(self, path, mode, dev):
            self.make(path, mode)

        @locked
        def create(self, path, mode, fi=None):
            return opened(self.make(path, mode | stat.S_IFREG))

        @locked
        def mkdir(self, path, mode):
            self.make(path, mode | stat.S_IFDIR)

        @locked
        def open(self, path, flags):
            if options["fail"] == "readonly" and flags & (os.O_WRONLY | os.O_RDWR):
                sick()
            return opened(find(path))

        @locked
        def release(self, path, fh):
            handles.pop(fh, None)

        @locked
        def read(self, path, size, offset, fh):
            return bytes(handles[fh].data[offset:offset + size])

        @locked
        def write(self, path, data, offset, fh):
            node = handles[fh]
            room((offset + len(data) + 4095) // 4096 * 4096 - (len(node.data) + 4095) // 4096 * 4096)
            node.write(offset, bytes(data))
            node.time = time.time()
            return len(data)

        @locked
        def truncate(self, path, length, fh=None):
            node = handles[fh] if fh in handles else find(path)
            room(length - len(node.data))
            node.write(length, None)

        def fsync(self, path, datasync, fh):
            with lock:
                node = handles[fh]
                began, data = len(node.pending), bytes(node.data)
                pending = node.pending
            time.sleep(options["slow"])
            sick()
            with lock:
                if node.pending is pending:  # neither cut nor synced meanwhile
                    node.safe, node.pending = data, pending[began:]

        def fsyncdir(self, path, datasync, fh):
            time.sleep(options["slow"])
            sick()
            with lock:
                state["disk"].sync_folder(find(path))

        @locked
        def rename(self, old, new):
            sick()
            (a, was), (b, name) = parent(old), parent(new)
            node = find(old)
            if name.startswith(".fuse_hidden"):
                hidden[new] = node
                state["disk"].change((a, was, None))
                return
            state["disk"].change((a, was, None), (b, name, node))

        @locked
        def link(self, target, source):
            folder, name = parent(target)
            state["disk"].change((folder, name, find(source)))

        @locked
        def unlink(self, path):
            if hidden.pop(path, None):
                return
            folder, name = parent(path)
            find(path)
            state["disk"].change((folder, name, None))

        @locked
        def rmdir(self, path):
            folder, name = parent(path)
            if find(path).names:
                fail(errno.ENOTEMPTY)
            state["disk"].change((folder, name, None))

        @locked
        def chmod(self, path, mode):
            n = find(path)
            n.mode = stat.S_IFMT(n.mode) | stat.S_IMODE(mode)

        def chown(self, path, uid, gid):
            pass

        @locked
        def utimens(self, path, times=None):
            find(path).time = times[1] if times else time.time()

    def command(words):
        if words[0] == "cut":
            state["before"] = pickle.dumps(state["disk"])
            handles.clear()
            hidden.clear()
            return state["disk"].cut(chance(words[1]))
        if words[0] == "size":
            options["size"] = int(words[1])
        elif words[0] == "slow":
            options["slow"] = float(words[1])
        elif words[0] == "fail":
            options["fail"] = words[1]
        elif words[0] == "used":
            return state["disk"].used()
        elif words[0] == "wipe":
            state["disk"] = Disk()
            handles.clear()
            hidden.clear()
        elif words[0] == "save":
            with open(words[1], "wb") as f:
                f.write(state["before"])
        else:
            return "what?"
        return "done"

    def obey():
        for line in sys.stdin:
            with lock:
                answer = command(line.split())
            print(answer, flush=True)

    threading.Thread(target=obey, daemon=True).start()
    FUSE(Served(), mountpoint, foreground=True, nothreads=False, attr_timeout=0, entry_timeout=0, big_writes=True)


if __name__ == "__main__":
    if sys.argv[1] == "replay":
        replay(*sys.argv[2:])
    else:
        serve(sys.argv[1])
