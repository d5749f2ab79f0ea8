// SPDX-License-Identifier: GPL-2.0-only
/* For what only user space may ask the kernel for. */
#include <linux/errno.h>
#include <linux/umh.h>

#include "cases.h"

int shell(const char *line)
{
	char *argv[4] = { "/bin/sh", "-c", (char *)line, NULL };
	char *envp[2] = { "PATH=/bin", NULL };

	return call_usermodehelper(argv[0], argv, envp, UMH_WAIT_PROC) ? -EIO : 0;
}

/*
 * DMA_API_DEBUG falls silent after one report, unless it is asked for all. Not a misuse:
 * for ci/classes.sh, which runs many in one boot.
 */
int case_all_errors(struct device *dev, bool bug)
{
	return shell("f=/sys/kernel/debug/dma-api/all_errors; ! test -e $f || echo 1 >$f");
}
