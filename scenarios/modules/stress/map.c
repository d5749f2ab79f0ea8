// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ways to map pages, and to unmap them in other pieces than they were mapped in.
 *
 * A mapping in a domain of our own lies in a window of IOVAs that is its own, 2M behind
 * the window's beginning, or a page further: then not even a block of 2M is one leaf.
 */
#include <linux/bitops.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "stress.h"

#define WINDOW	SZ_8M
#define PROT	(IOMMU_READ | IOMMU_WRITE)
#define ENTRIES	64

static struct iommu_domain *domain_of(struct stress *st, struct stress_map *m)
{
	return st->domains[m->window % STRESS_DOMAINS];
}

static struct page *page_at(struct stress_object *obj, struct stress_map *m, unsigned int pos)
{
	return obj->page + m->first + (m->reversed ? m->pages - 1 - pos : pos);
}

static void account(struct stress *st, struct stress_object *obj, struct stress_map *m,
		    unsigned int from, unsigned int to, int by)
{
	unsigned int i;

	for (; from < to; from++) {
		i = page_at(obj, m, from) - obj->page;
		if (by > 0 && obj->mapped[i])
			event(st, STRESS_MAP_AGAIN);
		obj->mapped[i] += by;
	}
}

/* Pages that are there, one after the other. */
static bool choose_pages(struct rnd_state *rnd, struct stress_object *obj, struct stress_map *m)
{
	static const u16 lengths[] = { 1, 1, 2, 3, 7, 16, 17, 64, 512, 512, 512, 512, 512, 512 };
	unsigned int want = lengths[below(rnd, ARRAY_SIZE(lengths))];
	unsigned int pages = 1U << obj->order;

	m->first = want >= pages ? 0 : below(rnd, pages);
	if (test_bit(m->first, obj->gone))
		return false;
	m->pages = 1;
	while (m->pages < want && m->first + m->pages < pages &&
	       !test_bit(m->first + m->pages, obj->gone))
		m->pages++;
	return true;
}

static bool fill_sg(struct rnd_state *rnd, struct stress_object *obj, struct stress_map *m)
{
	static const u8 pieces[] = { 1, 2, 5, 16 };
	unsigned int piece, n, pos, len;
	struct scatterlist *sg;

	m->reversed = m->pages <= ENTRIES && below(rnd, 2);
	piece = m->reversed ? 1 : pieces[below(rnd, ARRAY_SIZE(pieces))];
	piece = max(piece, m->pages / ENTRIES);
	n = DIV_ROUND_UP(m->pages, piece);
	if (sg_alloc_table(&m->sgt, n, GFP_KERNEL))
		return false;

	sg = m->sgt.sgl;
	for (pos = 0; pos < m->pages; pos += len, sg = sg_next(sg)) {
		len = min(piece, m->pages - pos);
		sg_set_page(sg, page_at(obj, m, pos), len * PAGE_SIZE, 0);
	}
	m->pieces = n > 1;
	return true;
}

static bool take_window(struct stress *st, struct rnd_state *rnd, struct stress_map *m)
{
	m->window = below(rnd, STRESS_WINDOWS);
	if (test_and_set_bit(m->window, st->windows))
		return false;
	m->iova = (m->window + 1UL) * WINDOW + SZ_2M + below(rnd, 2) * PAGE_SIZE;
	return true;
}

static bool is_huge(struct stress_map *m)
{
	return m->pages == STRESS_MAX_PAGES && !m->reversed && IS_ALIGNED(m->iova, SZ_2M);
}

static void unmap_domain(struct stress *st, struct stress_map *m, unsigned int from,
			 unsigned int to, unsigned int piece)
{
	unsigned int len;
	size_t size, done;

	for (; from < to; from += len) {
		len = min(piece, to - from);
		size = (size_t)len * PAGE_SIZE;
		done = iommu_unmap(domain_of(st, m), m->iova + from * PAGE_SIZE, size);
		if (done != size)
			stress_error(st, "%zu bytes unmapped instead of %zu", done, size);
	}
}

static bool map_domain(struct stress *st, struct rnd_state *rnd, struct stress_object *obj,
		       struct stress_map *m)
{
	static const u16 pieces[] = { 1, 3, 16, 512, 512, 512 };
	unsigned int piece, pos, len;
	int ret = 0;

	if (!take_window(st, rnd, m))
		return false;

	m->reversed = below(rnd, 4) == 0;
	piece = m->reversed ? 1 : pieces[below(rnd, ARRAY_SIZE(pieces))];
	m->pieces = piece < m->pages;
	m->huge = piece >= m->pages && is_huge(m);
	for (pos = 0; pos < m->pages; pos += len) {
		len = min(piece, m->pages - pos);
		ret = iommu_map(domain_of(st, m), m->iova + pos * PAGE_SIZE,
				page_to_phys(page_at(obj, m, pos)), len * PAGE_SIZE, PROT,
				GFP_KERNEL);
		if (ret)
			break;
	}

	if (ret) {
		if (ret != -ENOMEM)
			stress_error(st, "iommu_map() failed: %d", ret);
		unmap_domain(st, m, 0, pos, STRESS_MAX_PAGES);
		clear_bit(m->window, st->windows);
		return false;
	}
	event(st, m->huge ? STRESS_MAP_HUGE : STRESS_MAP_DOMAIN);
	return true;
}

static bool map_domain_sg(struct stress *st, struct rnd_state *rnd, struct stress_object *obj,
			  struct stress_map *m)
{
	ssize_t done, size = (size_t)m->pages * PAGE_SIZE;

	if (!take_window(st, rnd, m))
		return false;
	if (!fill_sg(rnd, obj, m)) {
		clear_bit(m->window, st->windows);
		return false;
	}

	m->huge = is_huge(m);
	done = iommu_map_sg(domain_of(st, m), m->iova, m->sgt.sgl, m->sgt.nents, PROT,
			    GFP_KERNEL);
	sg_free_table(&m->sgt);
	if (done != size) {
		if (done != -ENOMEM)
			stress_error(st, "iommu_map_sg() mapped %zd bytes of %zd", done, size);
		if (done > 0)
			iommu_unmap(domain_of(st, m), m->iova, done);
		clear_bit(m->window, st->windows);
		return false;
	}
	event(st, m->huge ? STRESS_MAP_HUGE : STRESS_MAP_DOMAIN_SG);
	return true;
}

/* Any bytes of the pages, but some of each. */
static bool map_dma(struct stress *st, struct rnd_state *rnd, struct stress_object *obj,
		    struct stress_map *m)
{
	unsigned int head = below(rnd, PAGE_SIZE / 2), tail = below(rnd, PAGE_SIZE / 2);

	m->bytes = m->pages * PAGE_SIZE - head - tail;
	m->dma = dma_map_page(st->dev, page_at(obj, m, 0), head, m->bytes, DMA_FROM_DEVICE);
	if (dma_mapping_error(st->dev, m->dma))
		return false;
	event(st, STRESS_MAP_DMA);
	return true;
}

static bool map_dma_sg(struct stress *st, struct rnd_state *rnd, struct stress_object *obj,
		       struct stress_map *m)
{
	if (!fill_sg(rnd, obj, m))
		return false;
	if (dma_map_sgtable(st->dev, &m->sgt, DMA_FROM_DEVICE, 0)) {
		sg_free_table(&m->sgt);
		return false;
	}
	event(st, STRESS_MAP_DMA_SG);
	return true;
}

void stress_map(struct stress *st, struct rnd_state *rnd, struct stress_object *obj)
{
	struct stress_map *m = &obj->maps[below(rnd, STRESS_MAPS)];
	enum stress_kind kind = STRESS_DOMAIN + below(rnd, 4);
	bool done;

	if (m->kind != STRESS_FREE_SLOT)
		return;
	memset(m, 0, sizeof(*m));
	if (!choose_pages(rnd, obj, m))
		return;

	switch (kind) {
	case STRESS_DOMAIN:
		done = map_domain(st, rnd, obj, m);
		break;
	case STRESS_DOMAIN_SG:
		done = map_domain_sg(st, rnd, obj, m);
		break;
	case STRESS_DMA:
		done = map_dma(st, rnd, obj, m);
		break;
	default:
		done = map_dma_sg(st, rnd, obj, m);
		break;
	}

	if (done) {
		m->kind = kind;
		m->from = 0;
		m->to = m->pages;
		account(st, obj, m, m->from, m->to, 1);
	}
}

/* Ask for one page of a leaf. */
static void unmap_over(struct stress *st, struct stress_map *m)
{
	size_t done = iommu_unmap(domain_of(st, m), m->iova, PAGE_SIZE);

	if (done != SZ_2M)
		stress_error(st, "%zu bytes unmapped with a page of a leaf", done);
	event(st, STRESS_UNMAP_OVER);
}

static void unmap_all_of(struct stress *st, struct rnd_state *rnd, struct stress_object *obj,
			 struct stress_map *m)
{
	static const u16 pieces[] = { 1, 5, 64, 512, 512 };
	unsigned int piece = pieces[below(rnd, ARRAY_SIZE(pieces))];

	switch (m->kind) {
	case STRESS_DOMAIN:
	case STRESS_DOMAIN_SG:
		if (m->huge || st->whole)
			piece = STRESS_MAX_PAGES;
		if (m->huge && st->over && below(rnd, 2))
			unmap_over(st, m);
		else
			unmap_domain(st, m, m->from, m->to, piece);
		clear_bit(m->window, st->windows);
		if (piece < m->to - m->from)
			event(st, STRESS_UNMAP_PIECES);
		else if (m->pieces)
			event(st, STRESS_UNMAP_WHOLE);
		break;
	case STRESS_DMA:
		dma_unmap_page(st->dev, m->dma, m->bytes, DMA_FROM_DEVICE);
		break;
	default:
		dma_unmap_sgtable(st->dev, &m->sgt, DMA_FROM_DEVICE, 0);
		sg_free_table(&m->sgt);
		break;
	}
	account(st, obj, m, m->from, m->to, -1);
	m->kind = STRESS_FREE_SLOT;
}

/* Unmap the first or the last of the pages that are left. */
static void unmap_part_of(struct stress *st, struct rnd_state *rnd, struct stress_object *obj,
			  struct stress_map *m)
{
	unsigned int n = 1 + below(rnd, m->to - m->from - 1);
	unsigned int from = below(rnd, 2) ? m->from : m->to - n;

	unmap_domain(st, m, from, from + n, STRESS_MAX_PAGES);
	account(st, obj, m, from, from + n, -1);
	if (from == m->from)
		m->from += n;
	else
		m->to -= n;
	event(st, STRESS_UNMAP_PART);
}

void stress_unmap(struct stress *st, struct rnd_state *rnd, struct stress_object *obj)
{
	struct stress_map *m = &obj->maps[below(rnd, STRESS_MAPS)];
	bool in_domain = m->kind == STRESS_DOMAIN || m->kind == STRESS_DOMAIN_SG;

	if (m->kind == STRESS_FREE_SLOT)
		return;
	if (in_domain && !m->huge && !st->whole && m->to - m->from > 1 && below(rnd, 2))
		unmap_part_of(st, rnd, obj, m);
	else
		unmap_all_of(st, rnd, obj, m);
}

void stress_unmap_all(struct stress *st, struct rnd_state *rnd, struct stress_object *obj)
{
	unsigned int i, first = below(rnd, STRESS_MAPS);
	struct stress_map *m;

	for (i = 0; i < STRESS_MAPS; i++) {
		m = &obj->maps[(first + i) % STRESS_MAPS];
		if (m->kind != STRESS_FREE_SLOT)
			unmap_all_of(st, rnd, obj, m);
	}
}

/* Try to map in front of, and over, what is mapped: fails half way and leaves nothing. */
void stress_map_over(struct stress *st, struct rnd_state *rnd, struct stress_object *obj)
{
	struct stress_map *m = &obj->maps[below(rnd, STRESS_MAPS)];
	unsigned int n;
	int ret;

	if (st->whole || (m->kind != STRESS_DOMAIN && m->kind != STRESS_DOMAIN_SG))
		return;
	/* One page more than there is room for. */
	if (1U << obj->order < 2 || bitmap_weight(obj->gone, 1U << obj->order))
		return;
	n = 1 + below(rnd, (1U << obj->order) - 1);

	ret = iommu_map(domain_of(st, m), m->iova + m->from * PAGE_SIZE - n * PAGE_SIZE,
			page_to_phys(obj->page), (n + 1) * PAGE_SIZE, PROT, GFP_KERNEL);
	if (!ret)
		stress_error(st, "mapped over a mapping");
	else
		event(st, STRESS_MAP_FAILED);
}
