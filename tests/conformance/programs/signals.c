/* SPDX-License-Identifier: Apache-2.0 */
/* signal(7): handlers, masks, alternate stacks, faults, restarts, interval timers. */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t got, value;
static volatile void *fault_address;
static sigjmp_buf escape;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	got = sig;
	value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
}

static void install(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
}

static void basics(void)
{
	union sigval v = {.sival_int = 42};
	sigset_t set, old;
	struct sigaction sa;

	install(SIGUSR1, on_signal, 0);
	SHOW(raise(SIGUSR1));
	SHOW(got);
	SHOW(sigqueue(getpid(), SIGUSR1, v));
	SHOW(value);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	got = 0;
	SHOW(sigprocmask(SIG_BLOCK, &set, &old));
	SHOW(kill(getpid(), SIGUSR1));
	SHOW(kill(getpid(), SIGUSR1));
	SHOW(got);
	SHOW(sigpending(&old));
	SHOW(sigismember(&old, SIGUSR1));
	SHOW(sigprocmask(SIG_UNBLOCK, &set, NULL));
	SHOW(got);
	SHOW(sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
	SHOW(kill(getpid(), 100));
	SHOW(kill(999999, 0));
	signal(SIGUSR2, SIG_IGN);
	SHOW(raise(SIGUSR2));
	install(SIGUSR2, on_signal, SA_RESETHAND);
	SHOW(raise(SIGUSR2));
	sigaction(SIGUSR2, NULL, &sa);
	HOLDS(sa.sa_handler == SIG_DFL);
}

static void realtime(void)
{
	struct timespec none = {0, 0};
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 3; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	for (int i = 0; i < 3; i++) {
		SHOW(sigwaitinfo(&set, &info) == SIGRTMIN);
		SHOW(info.si_value.sival_int);
	}
	SHOW(sigtimedwait(&set, &info, &none));
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	got = sig;
	fault_address = info->si_addr;
	siglongjmp(escape, 1);
}

static void faults(void)
{
	static volatile int zero;
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	install(SIGSEGV, on_fault, 0);
	install(SIGFPE, on_fault, 0);
	install(SIGILL, on_fault, 0);
	if (sigsetjmp(escape, 1) == 0)
		*(volatile int *)16 = 1;
	SHOW(got == SIGSEGV);
	HOLDS(fault_address == (void *)16);
	if (sigsetjmp(escape, 1) == 0)
		*ro = 1;
	HOLDS(got == SIGSEGV && fault_address == ro);
	if (sigsetjmp(escape, 1) == 0)
		zero = 1 / zero;
	HOLDS(got == SIGFPE);
	if (sigsetjmp(escape, 1) == 0)
		__asm__ volatile("ud2");
	HOLDS(got == SIGILL);
	if (sigsetjmp(escape, 1) == 0)
		((void (*)(void))ro)();
	HOLDS(got == SIGSEGV && fault_address == ro);
	if (sigsetjmp(escape, 1) == 0)
		*(volatile int *)0x8000000000000000 = 1;
	HOLDS(got == SIGSEGV);
	signal(SIGSEGV, SIG_DFL);
}

static char alternate[65536];

static __attribute__((noinline)) int overflow(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return overflow(depth + 1) + room[0];
}

static void on_overflow(int sig, siginfo_t *info, void *context)
{
	char here;

	(void)info;
	(void)context;
	got = &here > alternate && &here < alternate + sizeof(alternate) ? sig : -1;
	siglongjmp(escape, 1);
}

static void alternate_stack(void)
{
	stack_t ss = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, old;

	SHOW(sigaltstack(&ss, NULL));
	SHOW(sigaltstack(NULL, &old));
	HOLDS(old.ss_sp == alternate);
	install(SIGSEGV, on_overflow, SA_ONSTACK);
	if (sigsetjmp(escape, 1) == 0)
		overflow(0);
	HOLDS(got == SIGSEGV);
	ss.ss_flags = SS_DISABLE;
	SHOW(sigaltstack(&ss, NULL));
	ss.ss_flags = 0;
	ss.ss_size = 10;
	SHOW(sigaltstack(&ss, NULL));
	signal(SIGSEGV, SIG_DFL);
}

static void *kick(void *arg)
{
	usleep(30000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	usleep(30000);
	if (write(((int *)arg)[4], "x", 1) != 1)
		abort();
	return NULL;
}

static void restarts(void)
{
	struct {
		pthread_t self;
		int unused[2];
		int fd;
	} arg;
	int p[2];
	char c;
	pthread_t t;

	for (int restart = 0; restart < 2; restart++) {
		if (pipe(p) < 0)
			abort();
		arg.self = pthread_self();
		((int *)&arg)[4] = p[1];
		got = 0;
		install(SIGUSR1, on_signal, restart ? SA_RESTART : 0);
		pthread_create(&t, NULL, kick, &arg);
		SHOW(read(p[0], &c, 1));
		HOLDS(got == SIGUSR1);
		pthread_join(t, NULL);
		close(p[0]);
		close(p[1]);
	}
}

static volatile int alarms;
static volatile double kept;

static void on_alarm(int sig, siginfo_t *info, void *context)
{
	double x = 3;

	(void)sig;
	(void)info;
	(void)context;
	alarms++;
	/* Ruins the vector registers of what was interrupted, unless they are saved. */
	for (int i = 0; i < 100; i++)
		x = x * 1.5 - 1;
	kept = x;
}

static void timers(void)
{
	struct itimerval it = {{0, 5000}, {0, 5000}};
	double sum = 0;
	long n = 0;

	install(SIGALRM, on_alarm, 0);
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	while (alarms < 10) {
		sum += 0.5;
		n++;
	}
	HOLDS(sum == (double)n * 0.5);
	memset(&it, 0, sizeof(it));
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	alarms = 0;
	alarm(1);
	SHOW(pause());
	SHOW(alarms);
	SHOW(alarm(0));
}

static void posix_timers(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 9};
	struct itimerspec its = {.it_value = {0, 10000000}};
	timer_t id;
	sigset_t empty;

	install(SIGUSR1, on_signal, 0);
	got = 0;
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &id));
	SHOW(timer_settime(id, 0, &its, NULL));
	sigemptyset(&empty);
	while (!got)
		sigsuspend(&empty);
	HOLDS(got == SIGUSR1);
	SHOW(timer_getoverrun(id));
	SHOW(timer_delete(id));
}

static void on_context(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	/* Goes on behind the two bytes of ud2. */
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RAX] = 123;
}

static void contexts(void)
{
	long rax = 0;

	install(SIGILL, on_context, 0);
	__asm__ volatile("ud2" : "+a"(rax));
	SHOW(rax);
}

int main(void)
{
	basics();
	realtime();
	faults();
	alternate_stack();
	restarts();
	timers();
	posix_timers();
	contexts();
	raise(SIGTERM);
	return 0;
}
