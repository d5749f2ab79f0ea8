// SPDX-License-Identifier: GPL-2.0-only
/* A page mapped on one CPU and freed by another. */
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/workqueue.h>

#include "cases.h"

static long free_here(void *page)
{
	__free_page(page);
	return 0;
}

int case_cpu(struct device *dev, bool bug)
{
	struct page *page;
	unsigned int other;
	dma_addr_t dma;
	int ret;

	if (num_online_cpus() < 2)
		return -ENODEV;

	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;

	/* Which one is "other" must not change until the work is done. */
	migrate_disable();
	other = cpumask_any_but(cpu_online_mask, smp_processor_id());

	ret = map_page(dev, page, &dma);
	if (ret) {
		__free_page(page);
	} else if (bug) {
		ret = work_on_cpu(other, free_here, page);
		unmap_page(dev, dma);
	} else {
		unmap_page(dev, dma);
		ret = work_on_cpu(other, free_here, page);
	}
	migrate_enable();
	return ret;
}
