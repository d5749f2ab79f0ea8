// SPDX-License-Identifier: GPL-2.0-only
/* A module that does not load. */
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/printk.h>

static int __init refusing_init(void)
{
	pr_info("refusing_module: not today\n");
	return -ENODEV;
}
module_init(refusing_init);

MODULE_DESCRIPTION("A module that does not load");
MODULE_LICENSE("GPL");
