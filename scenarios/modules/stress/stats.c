// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads what the sanitizer says about itself, with the help of a shell: the kernel cannot
 * read files of debugfs, but a copy of one.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/umh.h>

#include "stress.h"

#define STATS	"/sys/kernel/debug/dmasan/stats"
#define COPY	"/tmp/stress.stats"
#define SIZE	4096

static bool copy_file(void)
{
	char *argv[4] = { "/bin/sh", "-c", "cat " STATS " >" COPY " 2>/dev/null", NULL };
	char *envp[2] = { "PATH=/sbin:/bin:/usr/sbin:/usr/bin", NULL };

	return !call_usermodehelper(argv[0], argv, envp, UMH_WAIT_PROC);
}

static char *read_file(void)
{
	char *text = copy_file() ? kzalloc(SIZE, GFP_KERNEL) : NULL;
	struct file *file;
	ssize_t n, len = 0;
	loff_t pos = 0;

	if (!text)
		return NULL;
	file = filp_open(COPY, O_RDONLY, 0);
	if (IS_ERR(file)) {
		kfree(text);
		return NULL;
	}
	do {
		n = kernel_read(file, text + len, SIZE - 1 - len, &pos);
		if (n > 0)
			len += n;
	} while (n > 0);
	filp_close(file, NULL);
	return text;
}

/* The number behind "name: ", which has to be there. */
static bool value(const char *text, const char *name, long *result)
{
	size_t len = strlen(name);
	char line[32];
	const char *at;

	for (at = text; at; at = strchr(at, '\n')) {
		if (*at == '\n')
			at++;
		if (strncmp(at, name, len) || at[len] != ':')
			continue;
		strscpy(line, at + len + 2, sizeof(line));
		*strchrnul(line, '\n') = '\0';
		return !kstrtol(line, 10, result);
	}
	return false;
}

struct stress_stats stress_stats(void)
{
	struct stress_stats s = {};
	char *text = read_file();

	if (!text)
		return s;
	s.valid = value(text, "findings", &s.findings) &&
		  value(text, "findings_continued", &s.continued) &&
		  value(text, "findings_turned_away", &s.turned_away) &&
		  value(text, "pages_mapped", &s.mapped) &&
		  value(text, "pages_negative", &s.negative) &&
		  value(text, "pages_reported", &s.reported) &&
		  value(text, "sum_of_counts", &s.sum);
	kfree(text);
	return s;
}
