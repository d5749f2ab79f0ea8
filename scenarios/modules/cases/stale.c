// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is free already when it is mapped, through a stale pointer. There is no
 * free to report; what shows the bug is that it is handed out again.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "cases.h"

#define OBJECT_SIZE	512
#define TRIES		64
#define SPARE		16

/* Frees a page, and others after it, which the page tables of the map take first. */
static void free_below(struct page *page)
{
	struct page *others[SPARE];
	int i;

	for (i = 0; i < SPARE; i++)
		others[i] = alloc_page(GFP_KERNEL);
	__free_page(page);
	for (i = 0; i < SPARE; i++)
		if (others[i])
			__free_page(others[i]);
}

int case_stale_page(struct device *dev, bool bug)
{
	struct page *page = alloc_page(GFP_KERNEL);
	unsigned long pfn;
	dma_addr_t dma;
	int ret;

	if (!page)
		return -ENOMEM;
	pfn = page_to_pfn(page);
	migrate_disable();
	if (bug)
		free_below(page);
	ret = map_page(dev, page, &dma);
	if (bug)
		page = get_pages_in(pfn, pfn, GFP_KERNEL, 0);
	migrate_enable();
	if (!ret)
		unmap_page(dev, dma);
	if (!page)
		return -EAGAIN;
	__free_page(page);
	return ret;
}

/* Allocates from @cache until @wanted comes, and frees the others. */
static void *get_object(struct kmem_cache *cache, const void *wanted)
{
	void *others[TRIES], *object = NULL;
	int i, n = 0;

	while (n < TRIES) {
		object = kmem_cache_alloc(cache, GFP_KERNEL);
		if (!object || object == wanted)
			break;
		others[n++] = object;
		object = NULL;
	}
	for (i = 0; i < n; i++)
		kmem_cache_free(cache, others[i]);
	return object;
}

int case_stale_object(struct device *dev, bool bug)
{
	struct kmem_cache *cache = kmem_cache_create("stale", OBJECT_SIZE, 0, 0, NULL);
	int ret = -ENOMEM;
	dma_addr_t dma;
	void *object;

	if (!cache)
		return ret;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (!object)
		goto destroy;
	migrate_disable();
	if (bug)
		kmem_cache_free(cache, object);
	dma = dma_map_single(dev, object, OBJECT_SIZE, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (bug)
		object = get_object(cache, object);
	migrate_enable();
	if (!ret)
		dma_unmap_single(dev, dma, OBJECT_SIZE, DMA_FROM_DEVICE);
	if (object)
		kmem_cache_free(cache, object);
	else
		ret = -EAGAIN;
destroy:
	kmem_cache_destroy(cache);
	return ret;
}

/* No device at all: the CPU reads what it has freed. */
int case_stale_read(struct device *dev, bool bug)
{
	char *object = kmalloc(OBJECT_SIZE, GFP_KERNEL);
	char *stale = object;

	if (!object)
		return -ENOMEM;
	/* What the compiler sees of it, it warns of. */
	OPTIMIZER_HIDE_VAR(stale);
	if (!bug)
		READ_ONCE(*stale);
	kfree(object);
	if (bug)
		READ_ONCE(*stale);
	return 0;
}
