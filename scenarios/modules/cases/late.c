// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is still at work when its memory is unmapped: an IOMMU stops the access,
 * and tells the address. Without the bug the driver waits for the device first.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "cases.h"

#define OBJECT_SIZE	512
#define OFFSET		64
#define BYTES		256

/* What the IOMMU has to say comes by interrupt. */
#define FAULT_MS	500

static int wait_for_fault(struct edu *edu)
{
	int ret = edu_wait(edu);

	msleep(FAULT_MS);
	return ret;
}

/*
 * The device moves BYTES, which are unmapped when it is done, or with @bug before. Inlined,
 * as reports name who maps and unmaps.
 */
static __always_inline int move(struct device *dev, bool bug, void *memory,
				enum dma_data_direction dir)
{
	struct edu edu;
	dma_addr_t dma;
	int ret;

	ret = edu_begin(dev, &edu);
	if (ret)
		return ret;
	dma = dma_map_single(dev, memory + OFFSET, BYTES, dir);
	ret = dma_mapping_error(dev, dma);
	if (ret)
		goto end;
	if (dir == DMA_FROM_DEVICE)
		edu_write(&edu, dma, BYTES);
	else
		edu_read(&edu, dma, BYTES);
	if (!bug)
		ret = edu_wait(&edu);
	dma_unmap_single(dev, dma, BYTES, dir);
	if (bug)
		ret = wait_for_fault(&edu);
end:
	edu_end(dev, &edu);
	return ret;
}

/* It writes to an object, which stays with the driver. */
int case_late_write(struct device *dev, bool bug)
{
	void *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);
	int ret;

	if (!object)
		return -ENOMEM;
	ret = move(dev, bug, object, DMA_FROM_DEVICE);
	kfree(object);
	return ret;
}

/* It reads from a page, which stays with the driver. */
int case_late_read(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	int ret;

	if (!page)
		return -ENOMEM;
	ret = move(dev, bug, page_address(page), DMA_TO_DEVICE);
	__free_page(page);
	return ret;
}

/* What becomes of memory before its device has written to it. */
enum fate {
	FREED,
	/* Somebody else's. */
	REUSED,
	/* Its address leads to something else, for reading only: mapped not by the DMA API. */
	REMAPPED,
};

/*
 * It writes to a page. Inlined, so that each case has its own place in the code: a bug is
 * reported once.
 */
static __always_inline int move_to_page(struct device *dev, bool bug, enum fate fate)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	bool mapped = false;
	struct edu edu;
	dma_addr_t dma;
	int ret;

	if (!page)
		return -ENOMEM;
	ret = domain ? edu_begin(dev, &edu) : -ENODEV;
	if (ret)
		goto free;
	ret = map_page(dev, page, &dma);
	if (ret)
		goto end;
	edu_write(&edu, dma, BYTES);
	if (!bug)
		ret = edu_wait(&edu);
	unmap_page(dev, dma);
	switch (fate) {
	case FREED:
		__free_page(page);
		page = NULL;
		break;
	case REUSED:
		page = free_and_get_again(page, 0);
		ret = page ? ret : -EAGAIN;
		break;
	case REMAPPED:
		ret = ret ?: iommu_map(domain, dma, page_to_phys(page), PAGE_SIZE, IOMMU_READ,
				       GFP_KERNEL);
		mapped = !ret;
		break;
	}
	/* Whatever became of the page, the device must not be left at work. */
	if (bug)
		ret = wait_for_fault(&edu) ?: ret;
	if (mapped)
		iommu_unmap(domain, dma, PAGE_SIZE);
end:
	edu_end(dev, &edu);
free:
	if (page)
		__free_page(page);
	return ret;
}

int case_late_freed(struct device *dev, bool bug)
{
	return move_to_page(dev, bug, FREED);
}

int case_late_reused(struct device *dev, bool bug)
{
	return move_to_page(dev, bug, REUSED);
}

int case_late_remapped(struct device *dev, bool bug)
{
	return move_to_page(dev, bug, REMAPPED);
}

/*
 * What the drivers of AMD-Vi and others call when an IOMMU has refused an access, without an
 * access: QEMU's AMD-Vi does not tell the address. Without the bug it is mapped still.
 */
int case_late_reported(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	dma_addr_t dma;
	int ret;

	if (!page)
		return -ENOMEM;
	ret = domain ? map_page(dev, page, &dma) : -ENODEV;
	if (ret)
		goto free;
	if (!bug)
		report_iommu_fault(domain, dev, dma + OFFSET, IOMMU_FAULT_WRITE);
	unmap_page(dev, dma);
	if (bug)
		report_iommu_fault(domain, dev, dma + OFFSET, IOMMU_FAULT_WRITE);
free:
	__free_page(page);
	return ret;
}
