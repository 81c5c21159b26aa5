/*
 * stepclock FILE PROGRAM ARG...
 *
 * Runs a program whose wall clock is that of the machine plus the nanoseconds in
 * FILE (a 64-bit integer), which may change at any time: the clock is stepped.
 * The monotonic clock is left alone. adjtimex fails, so that nobody vouches for
 * the clock. It works on static programs: the program gets no vDSO, and its calls
 * of clock_gettime(CLOCK_REALTIME) are answered here (ptrace, seccomp).
 *
 * Linux on amd64; used by TestClockIsStepped.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void die(const char *what)
{
	perror(what);
	exit(125);
}

static void pass_on(int sig)
{
	kill(child, sig);
}

/* The child: everything runs at full speed but for what the clock says. */
static void run(char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_adjtimex, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME, 2, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	};
	struct sock_fprog filter = {sizeof code / sizeof *code, code};

	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		die("ptrace");
	raise(SIGSTOP);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		die("seccomp");
	execv(argv[0], argv);
	die(argv[0]);
}

/* Hide the vDSO from a program that is about to start: its auxiliary vector is
 * on the stack, after the arguments and the environment. */
static void hide_vdso(pid_t pid)
{
	struct user_regs_struct r;
	if (ptrace(PTRACE_GETREGS, pid, 0, &r))
		die("getregs");
	uint64_t at = r.rsp;
	at += 8 * (1 + ptrace(PTRACE_PEEKDATA, pid, at, 0) + 1); /* argc, argv */
	while (ptrace(PTRACE_PEEKDATA, pid, at, 0))
		at += 8;
	for (at += 8;; at += 16) {
		long type = ptrace(PTRACE_PEEKDATA, pid, at, 0);
		if (type == AT_NULL)
			return;
		if (type == AT_SYSINFO_EHDR)
			ptrace(PTRACE_POKEDATA, pid, at, AT_IGNORE);
	}
}

/* Answer clock_gettime(CLOCK_REALTIME, &t). */
static void answer(pid_t pid, int64_t step)
{
	struct user_regs_struct r;
	struct timespec now;
	if (ptrace(PTRACE_GETREGS, pid, 0, &r))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t t = now.tv_sec * 1000000000LL + now.tv_nsec + step;
	ptrace(PTRACE_POKEDATA, pid, r.rsi, t / 1000000000);
	ptrace(PTRACE_POKEDATA, pid, r.rsi + 8, t % 1000000000);
	r.orig_rax = -1; /* not done by the kernel */
	r.rax = 0;
	ptrace(PTRACE_SETREGS, pid, 0, &r);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: stepclock FILE PROGRAM ARG...\n");
		return 125;
	}
	int f = open(argv[1], O_RDONLY);
	volatile int64_t *step = f < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, f, 0);
	if (step == MAP_FAILED)
		die(argv[1]);
	if ((child = fork()) < 0)
		die("fork");
	if (child == 0)
		run(argv + 2);
	int status;
	if (waitpid(child, &status, 0) != child ||
	    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC))
		die("ptrace");
	signal(SIGTERM, pass_on);
	ptrace(PTRACE_CONT, child, 0, 0);
	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0) {
			if (errno == EINTR)
				continue;
			die("wait");
		}
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == child)
				return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		int sig = WSTOPSIG(status), event = status >> 16;
		if (event == PTRACE_EVENT_SECCOMP)
			answer(pid, *step);
		else if (event == PTRACE_EVENT_EXEC)
			hide_vdso(pid);
		if (event || sig == SIGTRAP || sig == SIGSTOP)
			sig = 0; /* ours */
		ptrace(PTRACE_CONT, pid, 0, sig);
	}
}
