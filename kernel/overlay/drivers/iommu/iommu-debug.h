/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the hooks of the DMA sanitizer (CONFIG_IOMMU_DEBUG_PAGEALLOC) and its
 * implementation have in common. The hooks are in iommu-priv.h.
 */
#ifndef __IOMMU_DEBUG_H
#define __IOMMU_DEBUG_H

#include <linux/iommu-debug-dma.h>
#include <linux/percpu-defs.h>
#include <linux/types.h>

struct device;
struct iommu_domain;

/* Consecutive memory, or PHYS_ADDR_MAX for what is not mapped. */
struct iommu_debug_run {
	phys_addr_t phys;
	size_t size;
};

/*
 * What an unmap has cleared, and is yet to be counted down: the run that leaves
 * are being added to; and, if the unmap may fail after all, those before it.
 */
struct iommu_debug_cleared {
	/* A run as the first member would have gcc align the whole stack frame. */
	struct iommu_domain *domain;
	struct iommu_debug_run last;
	/* Only with iommu.debug_stale_iotlb=1 */
	struct iommu_iotlb_gather *gather;
	unsigned int count;
	unsigned int room;
	struct iommu_debug_run run[8];
};

/* What the next @size bytes of an unmap translate to: the last runs of @run. */
struct iommu_debug_ahead {
	size_t size;
	struct iommu_debug_run run[16];
	unsigned int first;
	unsigned int end;
};

/* What a domain still mapped when it was freed; the first of the ranges. */
struct iommu_debug_teardown {
	/* Its address; it may be gone */
	struct iommu_domain *domain;
	u64 cookie;
	u64 pages;
	unsigned int ranges;
	bool is_dma;
	struct {
		unsigned long iova;
		phys_addr_t phys;
		size_t size;
	} range[8];
};

/* What went through the hooks, per CPU. */
struct iommu_debug_traffic {
	u64 maps;
	u64 mapped;
	u64 unmaps;
	u64 unmapped;
	u64 checks;
};

DECLARE_PER_CPU(struct iommu_debug_traffic, iommu_debug_traffic);

/* Slow paths of the hooks. */
void __iommu_debug_map(struct iommu_domain *domain, phys_addr_t phys,
		       size_t size);
void __iommu_debug_map_failed(struct iommu_domain *domain, phys_addr_t phys,
			      size_t size);
void __iommu_debug_unmap_differs(unsigned long iova, size_t size,
				 size_t unmapped);
void __iommu_debug_cleared(struct iommu_debug_cleared *cleared,
			   phys_addr_t phys, size_t size);
void __iommu_debug_count_down(struct iommu_debug_cleared *cleared);
void __iommu_debug_postpone(struct iommu_debug_cleared *cleared);
size_t __iommu_debug_unmap_ahead(struct iommu_domain *domain,
				 unsigned long iova, size_t size,
				 struct iommu_debug_ahead *state);
void __iommu_debug_unmap_done(struct iommu_domain *domain,
			      struct iommu_debug_ahead *state, size_t unmapped);
void __iommu_debug_direct_map(struct iommu_domain *domain, phys_addr_t phys,
			      size_t size);
void __iommu_debug_direct_unmap(struct iommu_domain *domain, phys_addr_t phys,
				size_t size);
void __iommu_debug_domain_free(struct iommu_domain *domain,
			       struct iommu_debug_teardown *teardown);
void __iommu_debug_domain_leaf(struct iommu_domain *domain, unsigned long iova,
			       phys_addr_t phys, size_t size);
void __iommu_debug_domain_freed(struct iommu_debug_teardown *teardown);
#ifdef CONFIG_IOMMU_DEBUG_PAGEALLOC
void iommu_debug_init(void);
#endif

/* What is known of a device for as long as its mappings live. */
struct iommu_debug_device {
	char name[32];
	char driver[32];
	/* What it was behind then; or NULL. */
	const struct iommu_domain *domain;
	bool is_translated;
	/* Logarithm of the smallest page there. */
	unsigned int page_shift;
	/* See enum iommu_debug_device_id; or -1. */
	int requester;
	int endpoint;
};

/* Who does something, and when: in ns of the monotonic clock. */
struct iommu_debug_who {
	u64 when;
	char comm[16];
	int pid;
	u16 cpu;
};

void iommu_debug_whoami(struct iommu_debug_who *who);

/* Spinlocks that the DMA plane has, see locked.rs. */
#define IOMMU_DEBUG_LOCKS 36

/* In one word with the attributes of a mapping: so many bits for the kind. */
#define IOMMU_DEBUG_KIND_BITS 4

/*
 * Between the parts of drivers/iommu/debug-pagealloc/ that are Rust and what
 * has to be C: here because bindgen reads this header.
 */
extern bool iommu_debug_wanted;
void iommu_debug_enable(void);
void iommu_debug_check_alloc(unsigned long pfn, unsigned int pages);
void iommu_debug_check_free(unsigned long pfn, unsigned int pages);
void iommu_debug_check_origin(unsigned long pfn, unsigned int pages,
			      bool is_free);
struct iommu_debug_traffic iommu_debug_traffic_sum(void);
void *iommu_debug_alloc_counters(unsigned long section, size_t size);
bool iommu_debug_present(unsigned long section);
bool iommu_debug_is_memory(unsigned long pfn);
void iommu_debug_watch_memory(void);
void iommu_debug_resched(void);
void iommu_debug_add_pages(unsigned long first, unsigned long pages);
void iommu_debug_dump_page_owner(unsigned long pfn);
extern bool iommu_debug_origin_wanted;
extern unsigned int iommu_debug_origin_entries;
extern unsigned int iommu_debug_origin_ended;
extern bool iommu_debug_stale_wanted;
extern bool iommu_debug_finds_stale;
extern char iommu_debug_driver[32];
extern unsigned int iommu_debug_max_reports;
bool iommu_debug_has_driver(const char *name);
void iommu_debug_origin_enable(const u32 *filter);
void *iommu_debug_zalloc(size_t size);
unsigned long iommu_debug_lock(unsigned int which);
void iommu_debug_unlock(unsigned int which, unsigned long flags);
bool iommu_debug_in_nmi(void);
unsigned long iommu_debug_virt(phys_addr_t phys);
unsigned int iommu_debug_fetch_stack(u32 handle, unsigned long *entries,
				     unsigned int count);
void iommu_debug_describe_device(struct device *dev,
				 struct iommu_debug_device *info);
bool iommu_debug_describe_memory(phys_addr_t phys, char *text, size_t size);
void iommu_debug_dma_add(struct device *dev, phys_addr_t phys, size_t size,
			 int dir, dma_addr_t addr, unsigned int how,
			 u32 stack);
void iommu_debug_dma_skip(void);
void iommu_debug_dma_remove(struct device *dev, dma_addr_t addr, size_t size,
			    int dir, unsigned int kind, unsigned long caller,
			    u32 stack);
void iommu_debug_check_range(unsigned long object, phys_addr_t phys,
			     size_t size, const char *cache, bool is_free);
void iommu_debug_unbound(struct device *dev);
int iommu_debug_late_init(void);
#if IS_ENABLED(CONFIG_IOMMU_DEBUG_PAGEALLOC_KUNIT_TEST)
int iommu_debug_test_count(unsigned long pfn);
void iommu_debug_test_add(unsigned long pfn, int units);
unsigned long iommu_debug_test_findings(void);
#endif

#endif /* __IOMMU_DEBUG_H */
