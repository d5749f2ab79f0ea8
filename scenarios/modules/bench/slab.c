// SPDX-License-Identifier: GPL-2.0-only
/* kmalloc() and kfree() of objects that are not mapped. */
#include <linux/kstrtox.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "bench.h"

int bench_slab(struct device *dev, const char *arg)
{
	struct series allocs, frees;
	unsigned int size, i = 0;
	u64 begun, between;
	void *object;
	int ret = kstrtouint(arg, 10, &size);

	if (ret || !size || size > KMALLOC_MAX_CACHE_SIZE)
		return -EINVAL;
	ret = series_init_two(&allocs, &frees);
	if (ret)
		return ret;
	while (!series_enough(&frees, 3, 256)) {
		begun = now();
		object = kmalloc(size, GFP_KERNEL);
		between = now();
		if (i >= WARM_UP)
			series_add(&allocs, between - begun);
		if (!object) {
			ret = -ENOMEM;
			break;
		}
		begun = now();
		kfree(object);
		between = now();
		if (i++ >= WARM_UP)
			series_add(&frees, between - begun);
		cond_resched();
	}
	if (!ret) {
		report("slab_alloc", arg, &allocs);
		report("slab_free", arg, &frees);
	}
	series_free_two(&allocs, &frees);
	return ret;
}
