// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects of slab caches, mapped in part. Their pages stay with the cache when they
 * are freed, whoever else has objects there.
 */
#include <linux/dma-mapping.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "cases.h"

#define OBJECT_SIZE	512
#define OFFSET		64
#define BYTES		100

struct object {
	struct rcu_head rcu;
	char data[OBJECT_SIZE - sizeof(struct rcu_head)];
};

typedef void (*free_fn)(struct object *object);

static int map_part(struct device *dev, void *object, dma_addr_t *dma)
{
	*dma = dma_map_single(dev, object + OFFSET, BYTES, DMA_FROM_DEVICE);
	return dma_mapping_error(dev, *dma);
}

/* Frees an object with @free before or after it is unmapped. */
static int misuse(struct device *dev, bool bug, struct object *object, free_fn free)
{
	dma_addr_t dma;
	int ret;

	if (!object)
		return -ENOMEM;
	ret = map_part(dev, object, &dma);
	if (ret) {
		free(object);
		return ret;
	}
	if (bug)
		free(object);
	dma_unmap_single(dev, dma, BYTES, DMA_FROM_DEVICE);
	if (!bug)
		free(object);
	return 0;
}

static noinline void free_object(struct object *object)
{
	kfree(object);
}

/* Two objects on one page; the others that it took to find them are freed. */
static int get_neighbours(struct object **one, struct object **other)
{
	struct object *objects[64];
	int i, j, found = -ENOENT;

	for (i = 0; i < ARRAY_SIZE(objects); i++)
		objects[i] = kmalloc_obj(**one);
	for (i = 0; found && i < ARRAY_SIZE(objects); i++) {
		for (j = i + 1; found && objects[i] && j < ARRAY_SIZE(objects); j++) {
			if (!objects[j] || virt_to_page(objects[i]) != virt_to_page(objects[j]))
				continue;
			*one = objects[i];
			*other = objects[j];
			objects[i] = NULL;
			objects[j] = NULL;
			found = 0;
		}
	}
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		kfree(objects[i]);
	return found;
}

/* kfree(), of one object and not of its neighbour on the same page, which is no bug. */
int case_object(struct device *dev, bool bug)
{
	struct object *object, *neighbour;
	dma_addr_t dma;
	int ret;

	ret = get_neighbours(&object, &neighbour);
	if (ret)
		return ret;
	ret = map_part(dev, object, &dma);
	kfree(neighbour);
	if (!ret && bug)
		free_object(object);
	if (!ret)
		dma_unmap_single(dev, dma, BYTES, DMA_FROM_DEVICE);
	if (ret || !bug)
		free_object(object);
	return ret;
}

static noinline void free_large(struct object *object)
{
	kvfree(object);
}

/* An object of several pages: kmalloc() takes these from the page allocator. */
int case_object_large(struct device *dev, bool bug)
{
	return misuse(dev, bug, kvmalloc(5 * PAGE_SIZE, GFP_KERNEL), free_large);
}

static struct kmem_cache *cache;

static noinline void free_to_cache(struct object *object)
{
	kmem_cache_free(cache, object);
}

static noinline void free_in_bulk(struct object *object)
{
	void *objects[] = { object };

	kmem_cache_free_bulk(cache, ARRAY_SIZE(objects), objects);
}

static int with_cache(struct device *dev, bool bug, free_fn free)
{
	int ret;

	cache = KMEM_CACHE(object, 0);
	if (!cache)
		return -ENOMEM;
	ret = misuse(dev, bug, kmem_cache_alloc(cache, GFP_KERNEL), free);
	kmem_cache_destroy(cache);
	return ret;
}

/* kmem_cache_free(). */
int case_object_cache(struct device *dev, bool bug)
{
	return with_cache(dev, bug, free_to_cache);
}

/* kmem_cache_free_bulk(). */
int case_object_bulk(struct device *dev, bool bug)
{
	return with_cache(dev, bug, free_in_bulk);
}

/*
 * kfree_rcu(): what counts is when the object really goes back, for which the end of
 * the cache waits.
 */
int case_object_rcu(struct device *dev, bool bug)
{
	struct object *object;
	dma_addr_t dma;
	int ret;

	cache = KMEM_CACHE(object, 0);
	if (!cache)
		return -ENOMEM;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	ret = object ? map_part(dev, object, &dma) : -ENOMEM;
	if (ret) {
		kfree(object);
		kmem_cache_destroy(cache);
		return ret;
	}
	kfree_rcu(object, rcu);
	if (bug)
		kmem_cache_destroy(cache);
	dma_unmap_single(dev, dma, BYTES, DMA_FROM_DEVICE);
	if (!bug)
		kmem_cache_destroy(cache);
	return 0;
}

/* kfree_skb(), of a buffer that a network device receives into. */
int case_object_skb(struct device *dev, bool bug)
{
	struct sk_buff *skb = alloc_skb(1500, GFP_KERNEL);
	dma_addr_t dma;
	int ret;

	if (!skb)
		return -ENOMEM;
	dma = dma_map_single(dev, skb->data, 1500, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (ret || bug)
		kfree_skb(skb);
	if (!ret)
		dma_unmap_single(dev, dma, 1500, DMA_FROM_DEVICE);
	if (!ret && !bug)
		kfree_skb(skb);
	return ret;
}

/* One bug, at one place, again and again: one report. */
int case_object_again(struct device *dev, bool bug)
{
	int i, ret = 0;

	for (i = 0; !ret && i < 10; i++)
		ret = misuse(dev, bug, kmalloc_obj(struct object), free_object);
	return ret;
}
