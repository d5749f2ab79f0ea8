// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is still at work when its memory is unmapped: an IOMMU stops the access,
 * and tells the address. Without the bug the driver waits for the device first.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "cases.h"

#define OBJECT_SIZE	512
#define OFFSET		64
#define BYTES		256

/* What the IOMMU has to say comes by interrupt. */
#define FAULT_MS	100

static int wait_for_fault(struct edu *edu)
{
	int ret = edu_wait(edu);

	msleep(FAULT_MS);
	return ret;
}

/* It writes to an object, which stays with the driver. */
int case_late_write(struct device *dev, bool bug)
{
	char *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);
	struct edu edu;
	dma_addr_t dma;
	int ret;

	if (!object)
		return -ENOMEM;
	ret = edu_begin(dev, &edu);
	if (ret)
		goto free;
	dma = dma_map_single(dev, object + OFFSET, BYTES, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (ret)
		goto end;
	edu_write(&edu, dma, BYTES);
	if (!bug)
		ret = edu_wait(&edu);
	dma_unmap_single(dev, dma, BYTES, DMA_FROM_DEVICE);
	if (bug)
		ret = wait_for_fault(&edu);
end:
	edu_end(dev, &edu);
free:
	kfree(object);
	return ret;
}

/* It reads from a page, which stays with the driver. */
int case_late_read(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	struct edu edu;
	dma_addr_t dma;
	int ret;

	if (!page)
		return -ENOMEM;
	ret = edu_begin(dev, &edu);
	if (ret)
		goto free;
	dma = dma_map_page(dev, page, OFFSET, BYTES, DMA_TO_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (ret)
		goto end;
	edu_read(&edu, dma, BYTES);
	if (!bug)
		ret = edu_wait(&edu);
	dma_unmap_page(dev, dma, BYTES, DMA_TO_DEVICE);
	if (bug)
		ret = wait_for_fault(&edu);
end:
	edu_end(dev, &edu);
free:
	__free_page(page);
	return ret;
}

/* It writes to a page that is free by then, or, with @reuse, somebody else's. */
static int late_freed(struct device *dev, bool bug, bool reuse)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct edu edu;
	dma_addr_t dma;
	int ret;

	if (!page)
		return -ENOMEM;
	ret = edu_begin(dev, &edu);
	if (ret)
		goto free;
	ret = map_page(dev, page, &dma);
	if (ret)
		goto end;
	edu_write(&edu, dma, BYTES);
	if (!bug)
		ret = edu_wait(&edu);
	unmap_page(dev, dma);
	if (reuse) {
		page = free_and_get_again(page, 0);
		if (!page)
			ret = -EAGAIN;
	} else {
		__free_page(page);
		page = NULL;
	}
	/* Whatever became of the page, the device must not be left at work. */
	if (bug)
		ret = wait_for_fault(&edu) ?: ret;
end:
	edu_end(dev, &edu);
free:
	if (page)
		__free_page(page);
	return ret;
}

int case_late_freed(struct device *dev, bool bug)
{
	return late_freed(dev, bug, false);
}

int case_late_reused(struct device *dev, bool bug)
{
	return late_freed(dev, bug, true);
}
