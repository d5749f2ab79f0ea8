// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unmaps that do not fit what was mapped. Each of them ends the mapping, so that none is
 * left; without the bug they fit.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "cases.h"

#define BYTES 512

/* Addresses are given out from the top, so nothing was ever mapped down here. */
#define NEVER_MAPPED SZ_1M

struct unmap {
	size_t size;
	enum dma_data_direction dir;
	int times;
};

static noinline void unmap_like(struct device *dev, dma_addr_t dma, const struct unmap *how)
{
	int i;

	for (i = 0; i < how->times; i++)
		dma_unmap_single(dev, dma, how->size, how->dir);
}

/* Maps BYTES for the device to write, and unmaps them as told. */
static int map_and_unmap(struct device *dev, const struct unmap *how)
{
	char *object = kmalloc(BYTES, GFP_KERNEL);
	dma_addr_t dma;
	int ret;

	if (!object)
		return -ENOMEM;
	dma = dma_map_single(dev, object, BYTES, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (!ret)
		unmap_like(dev, dma, how);
	kfree(object);
	return ret;
}

/* As if an error path unmapped what was not mapped yet. */
int case_unmap_not_mapped(struct device *dev, bool bug)
{
	const struct unmap right = { BYTES, DMA_FROM_DEVICE, 1 };

	if (bug)
		unmap_like(dev, NEVER_MAPPED, &right);
	return map_and_unmap(dev, &right);
}

int case_unmap_twice(struct device *dev, bool bug)
{
	const struct unmap how = { BYTES, DMA_FROM_DEVICE, bug ? 2 : 1 };

	return map_and_unmap(dev, &how);
}

int case_unmap_size(struct device *dev, bool bug)
{
	const struct unmap how = { bug ? BYTES / 2 : BYTES, DMA_FROM_DEVICE, 1 };

	return map_and_unmap(dev, &how);
}

int case_unmap_direction(struct device *dev, bool bug)
{
	const struct unmap how = { BYTES, bug ? DMA_TO_DEVICE : DMA_FROM_DEVICE, 1 };

	return map_and_unmap(dev, &how);
}

/* A scatterlist of one entry, unmapped as if it had been mapped alone. */
int case_unmap_kind(struct device *dev, bool bug)
{
	char *object = kmalloc(BYTES, GFP_KERNEL);
	struct scatterlist sg;
	int ret = -EIO;

	if (!object)
		return -ENOMEM;
	sg_init_one(&sg, object, BYTES);
	if (dma_map_sg(dev, &sg, 1, DMA_FROM_DEVICE) == 1) {
		if (bug)
			dma_unmap_single(dev, sg_dma_address(&sg), BYTES, DMA_FROM_DEVICE);
		else
			dma_unmap_sg(dev, &sg, 1, DMA_FROM_DEVICE);
		ret = 0;
	}
	kfree(object);
	return ret;
}

/*
 * Memory that the DMA API gave, unmapped as if the driver had mapped it. It cannot be
 * given back then, because that would unmap it once more: the page is lost.
 */
int case_unmap_coherent(struct device *dev, bool bug)
{
	dma_addr_t dma;
	void *memory;

	memory = dma_alloc_coherent(dev, PAGE_SIZE, &dma, GFP_KERNEL);
	if (!memory)
		return -ENOMEM;
	if (bug)
		dma_unmap_page(dev, dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
	else
		dma_free_coherent(dev, PAGE_SIZE, memory, dma);
	return 0;
}
