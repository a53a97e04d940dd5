/* SPDX-License-Identifier: Apache-2.0 */
/* Records at fixed addresses, by the names that C and assembly use. */
#include "kl_layout.h"

	.globl kl_shared, kl_boot_record
	.set kl_shared, KL_BASE_VA + KL_SHARED_PA
	.globl kl_trap_stack_top, kl_irq_stack_top
	.set kl_trap_stack_top, KL_BASE_VA + KL_TRAP_STACK_PA + 0x1000
	.set kl_irq_stack_top, KL_BASE_VA + KL_IRQ_STACK_PA + 0x1000
	.set kl_boot_record, KL_BASE_VA + KL_BOOT_INFO_PA

	.section .note.GNU-stack, "", @progbits
