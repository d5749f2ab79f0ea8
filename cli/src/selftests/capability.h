/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of libcap as the kernel's iommufd selftest wants, on the system calls: a process gives up a capability.
 */
#ifndef DMASAN_SYS_CAPABILITY_H
#define DMASAN_SYS_CAPABILITY_H

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int cap_value_t;
typedef enum { CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE } cap_flag_t;
typedef enum { CAP_CLEAR, CAP_SET } cap_flag_value_t;

typedef struct {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
} *cap_t;

static inline cap_t cap_get_proc(void)
{
	cap_t caps = calloc(1, sizeof(*caps));

	if (!caps)
		return NULL;
	caps->header.version = _LINUX_CAPABILITY_VERSION_3;
	if (syscall(SYS_capget, &caps->header, caps->data)) {
		free(caps);
		return NULL;
	}
	return caps;
}

static inline int cap_set_flag(cap_t caps, cap_flag_t flag, int count,
			       const cap_value_t *values, cap_flag_value_t value)
{
	for (int i = 0; i < count; i++) {
		struct __user_cap_data_struct *data = &caps->data[CAP_TO_INDEX(values[i])];
		__u32 *set = flag == CAP_EFFECTIVE ? &data->effective :
			     flag == CAP_PERMITTED ? &data->permitted : &data->inheritable;

		if (value == CAP_SET)
			*set |= CAP_TO_MASK(values[i]);
		else
			*set &= ~CAP_TO_MASK(values[i]);
	}
	return 0;
}

static inline int cap_set_proc(cap_t caps)
{
	return syscall(SYS_capset, &caps->header, caps->data);
}

static inline int cap_free(cap_t caps)
{
	free(caps);
	return 0;
}

#endif
