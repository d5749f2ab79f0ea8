// SPDX-License-Identifier: GPL-2.0-only
/* Blocks of pages: allocated as one, freed as one or page by page. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "stress.h"

#define GFP (GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY)

static unsigned int random_order(struct rnd_state *rnd)
{
	static const u8 orders[] = { 0, 0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 9 };

	return orders[below(rnd, ARRAY_SIZE(orders))];
}

struct stress_object *stress_alloc(struct stress *st, struct rnd_state *rnd)
{
	struct stress_object *obj = kzalloc_obj(*obj);
	gfp_t compound;

	if (!obj)
		return NULL;

	obj->order = random_order(rnd);
	obj->split = obj->order && below(rnd, 2);
	/* Only what is not compound can be split. */
	compound = obj->order && !obj->split && below(rnd, 2) ? __GFP_COMP : 0;
	obj->page = alloc_pages(GFP | compound, obj->order);
	if (!obj->page) {
		kfree(obj);
		return NULL;
	}

	if (obj->split)
		split_page(obj->page, obj->order);
	if (obj->order == STRESS_MAX_ORDER)
		event(st, STRESS_ALLOC_HUGE);
	else if (obj->order)
		event(st, STRESS_ALLOC_BLOCK);
	return obj;
}

static void free_page_of(struct stress *st, struct stress_object *obj, unsigned int i)
{
	__set_bit(i, obj->gone);
	__free_page(obj->page + i);
}

void stress_free(struct stress *st, struct rnd_state *rnd, struct stress_object *obj)
{
	unsigned int i, pages = 1U << obj->order;

	stress_unmap_all(st, rnd, obj);
	for (i = 0; i < pages; i++)
		if (obj->mapped[i])
			stress_error(st, "page %u of order %u is still mapped %u times",
				     i, obj->order, obj->mapped[i]);

	if (obj->split) {
		for (i = 0; i < pages; i++)
			if (!test_bit(i, obj->gone))
				free_page_of(st, obj, i);
	} else {
		__free_pages(obj->page, obj->order);
		if (obj->order)
			event(st, STRESS_FREE_WHOLE);
		if (obj->order == STRESS_MAX_ORDER)
			event(st, STRESS_FREE_HUGE);
	}
	kfree(obj);
}

static bool neighbour_is_mapped(struct stress_object *obj, unsigned int i)
{
	return (i && obj->mapped[i - 1]) ||
	       (i + 1 < 1U << obj->order && obj->mapped[i + 1]);
}

/* Free one page that is not mapped out of a split block; false if there is none. */
bool stress_free_single(struct stress *st, struct rnd_state *rnd, struct stress_object *obj)
{
	unsigned int i, n, pages = 1U << obj->order;

	if (!obj->split)
		return false;

	i = below(rnd, pages);
	for (n = 0; n < pages; n++, i = (i + 1) % pages) {
		if (obj->mapped[i] || test_bit(i, obj->gone))
			continue;
		if (neighbour_is_mapped(obj, i))
			event(st, STRESS_FREE_SINGLE);
		free_page_of(st, obj, i);
		return true;
	}
	return false;
}
