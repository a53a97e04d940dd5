/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash leaves on the log. Each line begins with "kernlet-crash:"; addresses in mapped files are given as PATH+0xOFFSET,
 * where OFFSET is into the file, so that tools outside can name function and line.
 */
#include <kl/aspace.h>
#include <kl/platform.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include "signal_priv.h"

#define FRAMES_MAX 32
#define LINE_BYTES 256

static const char names[][8] = {
	"",
	"SIGHUP",
	"SIGINT",
	"SIGQUIT",
	"SIGILL",
	"SIGTRAP",
	"SIGABRT",
	"SIGBUS",
	"SIGFPE",
	"SIGKILL",
	"SIGUSR1",
	"SIGSEGV",
	"SIGUSR2",
	"SIGPIPE",
	"SIGALRM",
	"SIGTERM",
};

const char *kl_signal_name(int sig)
{
	static char other[16];

	if (sig > 0 && sig < (int)KL_ARRAY_LEN(names))
		return names[sig];
	kl_snprintf(other, sizeof(other), "signal %d", sig);
	return other;
}

static void line(const char *fmt, ...) KL_PRINTF(1, 2);

static void line(const char *fmt, ...)
{
	char text[LINE_BYTES];
	va_list args;
	size_t n = (size_t)kl_snprintf(text, sizeof(text), "kernlet-crash: ");

	va_start(args, fmt);
	n += (size_t)kl_vsnprintf(text + n, sizeof(text) - n, fmt, args);
	va_end(args);
	n = KL_MIN(n, sizeof(text) - 2);
	text[n++] = '\n';
	kl_platform->log(text, n);
}

static bool area_of(kl_uaddr addr, struct kl_area_info *area)
{
	kl_uaddr at = addr;

	return kl_aspace_next_area(kl_proc()->aspace, &at, area) && area->start <= addr && addr < area->end;
}

static void frame(unsigned number, kl_uaddr addr)
{
	struct kl_area_info area;

	if (area_of(addr, &area) && area.name[0] == '/')
		line("#%u %#lx %s+%#lx", number, addr, area.name, addr - area.start + area.offset);
	else
		line("#%u %#lx", number, addr);
}

/* Follows frame pointers while they look like ones: upwards on the stack, return addresses in mapped memory. */
static void backtrace(const struct kl_regs *regs)
{
	kl_uaddr fp = regs->rbp;
	struct {
		kl_uaddr fp, ret;
	} link;
	struct kl_area_info area;

	frame(0, regs->rip);
	for (unsigned i = 1; i < FRAMES_MAX && fp > regs->rsp && fp % sizeof(fp) == 0; i++) {
		if (KL_GET_USER(link, fp) < 0 || !area_of(link.ret, &area))
			return;
		frame(i, link.ret);
		if (link.fp <= fp)
			return;
		fp = link.fp;
	}
}

static const char *reason(int sig, int code)
{
	if (sig == SIGSEGV && code == SEGV_MAPERR)
		return ": address not mapped";
	if (sig == SIGSEGV && code == SEGV_ACCERR)
		return ": access not permitted";
	if (sig == SIGSEGV)
		return ": general protection";
	if (sig == SIGBUS && code == BUS_ADRERR)
		return ": beyond the end of a mapped file";
	if (sig == SIGFPE && code == FPE_INTDIV)
		return ": division by zero";
	if (sig == SIGILL)
		return ": illegal instruction";
	return "";
}

void signal_report_crash(const struct kl_regs *regs, int sig, const siginfo_t *info)
{
	line("%s%s, address %#lx, in %s (thread %d)", kl_signal_name(sig), reason(sig, info->si_code),
		(unsigned long)info->si_addr, kl_current->comm[0] != '\0' ? kl_current->comm : "program",
		kl_current->tid);
	backtrace(regs);
	line("rip %016lx  rsp %016lx  rbp %016lx  flags %08lx", regs->rip, regs->rsp, regs->rbp, regs->rflags);
	line("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", regs->rax, regs->rbx, regs->rcx, regs->rdx);
	line("rsi %016lx  rdi %016lx  r8  %016lx  r9  %016lx", regs->rsi, regs->rdi, regs->r8, regs->r9);
	line("r10 %016lx  r11 %016lx  r12 %016lx  r13 %016lx", regs->r10, regs->r11, regs->r12, regs->r13);
	line("r14 %016lx  r15 %016lx", regs->r14, regs->r15);
}
