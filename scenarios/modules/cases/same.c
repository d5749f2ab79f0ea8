// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many mappings of one page at the same time, by threads that know nothing of each other,
 * as of a page of the page cache that is sent on several queues. Where nothing is
 * translated they look the same in everything, so that an unmap may be taken for another
 * one's. The page may be freed once all are gone; the bug is to free it one too early.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kthread.h>

#include "cases.h"

#define THREADS	4
#define TIMES	50000

struct mappers {
	struct device *dev;
	struct page *page;
	atomic_t running;
	atomic_t failed;
	struct completion done;
};

static int map_often(void *data)
{
	struct mappers *mappers = data;
	dma_addr_t dma;
	int i;

	for (i = 0; i < TIMES && !atomic_read(&mappers->failed); i++) {
		if (map_page(mappers->dev, mappers->page, &dma))
			atomic_inc(&mappers->failed);
		else
			unmap_page(mappers->dev, dma);
		cond_resched();
	}
	if (atomic_dec_and_test(&mappers->running))
		complete(&mappers->done);
	return 0;
}

int case_same_page(struct device *dev, bool bug)
{
	struct mappers mappers = { .dev = dev };
	struct task_struct *thread;
	dma_addr_t dma;
	int i, ret;

	/* In reach of the device, so that it is not copied. */
	mappers.page = alloc_page(GFP_KERNEL | GFP_DMA);
	if (!mappers.page)
		return -ENOMEM;
	init_completion(&mappers.done);
	/* One for this thread, until all others are there. */
	atomic_set(&mappers.running, 1);

	for (i = 0; i < THREADS; i++) {
		atomic_inc(&mappers.running);
		thread = kthread_run(map_often, &mappers, "cases/%d", i);
		if (IS_ERR(thread)) {
			atomic_dec(&mappers.running);
			atomic_inc(&mappers.failed);
		}
	}
	if (!atomic_dec_and_test(&mappers.running))
		wait_for_completion(&mappers.done);
	ret = atomic_read(&mappers.failed) ? -EIO : 0;
	if (!ret && bug)
		ret = map_page(dev, mappers.page, &dma);
	__free_page(mappers.page);
	if (!ret && bug)
		unmap_page(dev, dma);
	return ret;
}
