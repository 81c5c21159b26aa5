"""A file system that passes everything to a folder, and gives EIO on demand.

usage: eio.py FOLDER MOUNTPOINT CONTROL

While CONTROL/read, CONTROL/write or CONTROL/sync exists, such calls fail.
Used by the tests of the queue; needs the Debian package python3-fusepy.
"""
import errno
import os
import sys

from fusepy import FUSE, FuseOSError, Operations


class Failing(Operations):
    def __init__(self, root, control):
        self.root, self.control = root, control

    def at(self, path):
        return self.root + path

    def fail(self, what):
        if os.path.exists(os.path.join(self.control, what)):
            raise FuseOSError(errno.EIO)

    def init(self, path):
        print("ready", flush=True)

    def getattr(self, path, fh=None):
        st = os.lstat(self.at(path))
        keys = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid", "st_blocks", "st_blksize")
        return {key: getattr(st, key) for key in keys}

    def statfs(self, path):
        st = os.statvfs(self.root)
        keys = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax")
        return {key: getattr(st, key) for key in keys}

    def readdir(self, path, fh):
        return [".", ".."] + os.listdir(self.at(path))

    def open(self, path, flags):
        return os.open(self.at(path), flags)

    def create(self, path, mode, fi=None):
        self.fail("write")
        return os.open(self.at(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path, size, offset, fh):
        self.fail("read")
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        self.fail("write")
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        self.fail("write")
        os.truncate(self.at(path), length)

    def fsync(self, path, datasync, fh):
        self.fail("sync")
        return 0

    def fsyncdir(self, path, datasync, fh):
        self.fail("sync")
        return 0

    def release(self, path, fh):
        os.close(fh)

    def mkdir(self, path, mode):
        self.fail("write")
        os.mkdir(self.at(path), mode)

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def rename(self, old, new):
        self.fail("write")
        os.rename(self.at(old), self.at(new))

    def link(self, target, source):
        self.fail("write")
        os.link(self.at(source), self.at(target))

    def unlink(self, path):
        self.fail("write")
        os.unlink(self.at(path))

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def chown(self, path, uid, gid):
        os.lchown(self.at(path), uid, gid)

    def utimens(self, path, times=None):
        os.utime(self.at(path), times)


if __name__ == "__main__":
    root, mountpoint, control = sys.argv[1:]
    FUSE(Failing(root, control), mountpoint, foreground=True, nothreads=True)
