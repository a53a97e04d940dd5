/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket's commands do. */
#ifndef KL_MONITOR_CONTROL_COMMANDS_H
#define KL_MONITOR_CONTROL_COMMANDS_H

#include "control.h"

#define KL_CONTROL_ANSWER_MAX 12288

/* Carry out one line and put the answer, with its newline, into text. Returns its length. */
size_t kl_control_command(struct kl_control *control, const char *line, size_t bytes, char text[KL_CONTROL_ANSWER_MAX]);

#endif
