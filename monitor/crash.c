// SPDX-License-Identifier: Apache-2.0
/* The report about a processor that cannot go on. Ordinary crashes of programs are reported by the library OS itself. */
#include "vcpu.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void kl_crash_report(struct kl_vcpu *vcpu, const char *what)
{
	struct kvm_regs r;
	struct kvm_sregs s;
	char text[1536];

	if (ioctl(vcpu->vm->vcpu_fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu->vm->vcpu_fd, KVM_GET_SREGS, &s) < 0) {
		memset(&r, 0, sizeof(r));
		memset(&s, 0, sizeof(s));
	}
	int bytes = snprintf(text, sizeof(text),
		"kernlet-monitor: the guest's processor stopped: %s; this is a bug in the image or in the library OS\n"
		"  rip %016llx  rsp %016llx  flags %08llx  cs %04x  ss %04x  cpl %u\n"
		"  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n"
		"  rsi %016llx  rdi %016llx  rbp %016llx  r8  %016llx\n"
		"  r9  %016llx  r10 %016llx  r11 %016llx  r12 %016llx\n"
		"  r13 %016llx  r14 %016llx  r15 %016llx  cr2 %016llx\n"
		"  cr3 %016llx  fs  %016llx  gs  %016llx\n",
		what, r.rip, r.rsp, r.rflags, s.cs.selector, s.ss.selector, s.ss.dpl, r.rax, r.rbx, r.rcx, r.rdx, r.rsi,
		r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, s.cr2, s.cr3, s.fs.base, s.gs.base);
	for (int done = 0; done < bytes;) {
		ssize_t written = write(vcpu->log_fd, text + done, (size_t)(bytes - done));

		if (written <= 0)
			break;
		done += (int)written;
	}
}
