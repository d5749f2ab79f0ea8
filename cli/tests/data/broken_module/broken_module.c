// SPDX-License-Identifier: GPL-2.0-only
/* A module that does not compile. */
#include <linux/module.h>

static int __init broken_init(void)
{
	return no_such_variable;
}
module_init(broken_init);

MODULE_DESCRIPTION("A module that does not compile");
MODULE_LICENSE("GPL");
