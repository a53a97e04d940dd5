/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on files, as in their manual pages; 0, a count or -errno. */
#ifndef KL_VFS_SYS_H
#define KL_VFS_SYS_H

#include <kl/types.h>

long kl_sys_read(int fd, kl_uaddr buf, size_t n);
long kl_sys_write(int fd, kl_uaddr buf, size_t n);
long kl_sys_readv(int fd, kl_uaddr iov, size_t count);
long kl_sys_writev(int fd, kl_uaddr iov, size_t count);
long kl_sys_pread64(int fd, kl_uaddr buf, size_t n, int64_t pos);
long kl_sys_pwrite64(int fd, kl_uaddr buf, size_t n, int64_t pos);
long kl_sys_preadv(int fd, kl_uaddr iov, size_t count, int64_t pos);
long kl_sys_pwritev(int fd, kl_uaddr iov, size_t count, int64_t pos);
long kl_sys_preadv2(int fd, kl_uaddr iov, size_t count, int64_t pos, long pos_high, int flags);
long kl_sys_pwritev2(int fd, kl_uaddr iov, size_t count, int64_t pos, long pos_high, int flags);
long kl_sys_lseek(int fd, int64_t offset, int whence);
long kl_sys_sendfile(int out_fd, int in_fd, kl_uaddr offset, size_t n);
long kl_sys_copy_file_range(int in_fd, kl_uaddr in_off, int out_fd, kl_uaddr out_off, size_t n, unsigned flags);

long kl_sys_open(kl_uaddr path, int flags, unsigned mode);
long kl_sys_openat(int dfd, kl_uaddr path, int flags, unsigned mode);
long kl_sys_openat2(int dfd, kl_uaddr path, kl_uaddr how, size_t bytes);
long kl_sys_creat(kl_uaddr path, unsigned mode);
long kl_sys_close(int fd);
long kl_sys_close_range(unsigned first, unsigned last, unsigned flags);
long kl_sys_dup(int fd);
long kl_sys_dup2(int oldfd, int newfd);
long kl_sys_dup3(int oldfd, int newfd, int flags);
long kl_sys_fcntl(int fd, int cmd, uint64_t arg);
long kl_sys_flock(int fd, int op);
long kl_sys_ioctl(int fd, unsigned cmd, uint64_t arg);

long kl_sys_stat(kl_uaddr path, kl_uaddr st);
long kl_sys_lstat(kl_uaddr path, kl_uaddr st);
long kl_sys_fstat(int fd, kl_uaddr st);
long kl_sys_newfstatat(int dfd, kl_uaddr path, kl_uaddr st, int flags);
long kl_sys_statx(int dfd, kl_uaddr path, unsigned flags, unsigned mask, kl_uaddr buf);
long kl_sys_statfs(kl_uaddr path, kl_uaddr buf);
long kl_sys_fstatfs(int fd, kl_uaddr buf);
long kl_sys_access(kl_uaddr path, int mode);
long kl_sys_faccessat(int dfd, kl_uaddr path, int mode);
long kl_sys_faccessat2(int dfd, kl_uaddr path, int mode, int flags);

long kl_sys_mkdir(kl_uaddr path, unsigned mode);
long kl_sys_mkdirat(int dfd, kl_uaddr path, unsigned mode);
long kl_sys_mknod(kl_uaddr path, unsigned mode, unsigned dev);
long kl_sys_mknodat(int dfd, kl_uaddr path, unsigned mode, unsigned dev);
long kl_sys_rmdir(kl_uaddr path);
long kl_sys_unlink(kl_uaddr path);
long kl_sys_unlinkat(int dfd, kl_uaddr path, int flags);
long kl_sys_rename(kl_uaddr from, kl_uaddr to);
long kl_sys_renameat(int from_dfd, kl_uaddr from, int to_dfd, kl_uaddr to);
long kl_sys_renameat2(int from_dfd, kl_uaddr from, int to_dfd, kl_uaddr to, unsigned flags);
long kl_sys_link(kl_uaddr from, kl_uaddr to);
long kl_sys_linkat(int from_dfd, kl_uaddr from, int to_dfd, kl_uaddr to, int flags);
long kl_sys_symlink(kl_uaddr target, kl_uaddr path);
long kl_sys_symlinkat(kl_uaddr target, int dfd, kl_uaddr path);
long kl_sys_readlink(kl_uaddr path, kl_uaddr buf, int size);
long kl_sys_readlinkat(int dfd, kl_uaddr path, kl_uaddr buf, int size);

long kl_sys_chmod(kl_uaddr path, unsigned mode);
long kl_sys_fchmod(int fd, unsigned mode);
long kl_sys_fchmodat(int dfd, kl_uaddr path, unsigned mode);
long kl_sys_chown(kl_uaddr path, uint32_t uid, uint32_t gid);
long kl_sys_lchown(kl_uaddr path, uint32_t uid, uint32_t gid);
long kl_sys_fchown(int fd, uint32_t uid, uint32_t gid);
long kl_sys_fchownat(int dfd, kl_uaddr path, uint32_t uid, uint32_t gid, int flags);
long kl_sys_utimensat(int dfd, kl_uaddr path, kl_uaddr times, int flags);
long kl_sys_utimes(kl_uaddr path, kl_uaddr times);
long kl_sys_futimesat(int dfd, kl_uaddr path, kl_uaddr times);
long kl_sys_utime(kl_uaddr path, kl_uaddr times);
long kl_sys_truncate(kl_uaddr path, int64_t size);
long kl_sys_ftruncate(int fd, int64_t size);
long kl_sys_fallocate(int fd, int mode, int64_t offset, int64_t bytes);
long kl_sys_fsync(int fd);
long kl_sys_fdatasync(int fd);
long kl_sys_sync(void);
long kl_sys_syncfs(int fd);
long kl_sys_sync_file_range(int fd, int64_t offset, int64_t bytes, unsigned flags);
long kl_sys_fadvise64(int fd, int64_t offset, int64_t bytes, int advice);
long kl_sys_readahead(int fd, int64_t offset, size_t n);

long kl_sys_getdents64(int fd, kl_uaddr buf, unsigned size);
long kl_sys_getcwd(kl_uaddr buf, size_t size);
long kl_sys_chdir(kl_uaddr path);
long kl_sys_fchdir(int fd);
long kl_sys_chroot(kl_uaddr path);
long kl_sys_umask(unsigned mask);
long kl_sys_mount(kl_uaddr source, kl_uaddr target, kl_uaddr type, uint64_t flags, kl_uaddr data);
long kl_sys_umount2(kl_uaddr target, int flags);

long kl_sys_getxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size);
long kl_sys_lgetxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size);
long kl_sys_fgetxattr(int fd, kl_uaddr name, kl_uaddr value, size_t size);
long kl_sys_setxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size, int flags);
long kl_sys_lsetxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size, int flags);
long kl_sys_fsetxattr(int fd, kl_uaddr name, kl_uaddr value, size_t size, int flags);
long kl_sys_listxattr(kl_uaddr path, kl_uaddr list, size_t size);
long kl_sys_llistxattr(kl_uaddr path, kl_uaddr list, size_t size);
long kl_sys_flistxattr(int fd, kl_uaddr list, size_t size);
long kl_sys_removexattr(kl_uaddr path, kl_uaddr name);
long kl_sys_lremovexattr(kl_uaddr path, kl_uaddr name);
long kl_sys_fremovexattr(int fd, kl_uaddr name);

#endif
