// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slow paths of the hooks in the DMA API, the slab allocator and the driver
 * core: they take apart what C knows (scatterlists, devices, caches) and go on
 * in Rust (origin.rs). No policy here.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/init.h>
#include <linux/iommu-debug-dma.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stackdepot.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include "../../../mm/slab.h"
#include "../iommu-debug.h"

/* Frames that can be kept of who maps. */
#define MAX_DEPTH 16

DEFINE_STATIC_KEY_FALSE(iommu_debug_origin);

unsigned int iommu_debug_origin_entries __ro_after_init = 65536;

/* Frames that are kept; each takes some 370 instructions more in each map. */
static unsigned int depth __ro_after_init = 4;

const u32 *iommu_debug_filter __ro_after_init;
u32 iommu_debug_huge;

static int __init iommu_debug_origin_param(char *value)
{
	return kstrtouint(value, 0, &iommu_debug_origin_entries);
}
early_param("iommu.debug_origin_entries", iommu_debug_origin_param);

static int __init iommu_debug_depth_param(char *value)
{
	int ret = kstrtouint(value, 0, &depth);

	depth = clamp(depth, 1, MAX_DEPTH);
	return ret;
}
early_param("iommu.debug_origin_depth", iommu_debug_depth_param);

void iommu_debug_origin_enable(const u32 *filter)
{
	iommu_debug_filter = filter;
	static_branch_enable(&iommu_debug_origin);
}

void *iommu_debug_zalloc(size_t size)
{
	return vzalloc(size);
}

static raw_spinlock_t locks[] = {
	[0 ... 33] = __RAW_SPIN_LOCK_UNLOCKED(iommu_debug_locks),
};

unsigned long iommu_debug_lock(unsigned int which)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&locks[which], flags);
	return flags;
}

void iommu_debug_unlock(unsigned int which, unsigned long flags)
{
	raw_spin_unlock_irqrestore(&locks[which], flags);
}

unsigned long iommu_debug_virt(phys_addr_t phys)
{
	return (unsigned long)phys_to_virt(phys);
}

u64 iommu_debug_now(void)
{
	return ktime_get_mono_fast_ns();
}

/* In the hook itself, since each frame above it takes some hundred instructions. */
static __always_inline u32 save_stack(void)
{
	unsigned long entries[MAX_DEPTH] __uninitialized;
	/* Neither the hook nor the function of the DMA API. */
	unsigned int count = stack_trace_save(entries, depth, 2);

	return stack_depot_save(entries, count, GFP_NOWAIT | __GFP_NOWARN);
}

unsigned int iommu_debug_fetch_stack(u32 handle, unsigned long *entries, unsigned int count)
{
	unsigned long *saved;
	unsigned int n;

	if (!handle)
		return 0;
	n = min(stack_depot_fetch(handle, &saved), count);
	memcpy(entries, saved, n * sizeof(*entries));
	return n;
}

void iommu_debug_describe_device(struct device *dev, struct iommu_debug_device *info)
{
	strscpy(info->name, dev_name(dev));
	strscpy(info->driver, dev->driver ? dev->driver->name : "");
	info->requester = -1;
#ifdef CONFIG_PCI
	if (dev_is_pci(dev))
		info->requester = pci_dev_id(to_pci_dev(dev));
#endif
}

/* Memory that @addr maps and vmalloc() has put together, run by run. */
static void add_vmalloc(struct device *dev, unsigned long virt, size_t size, int dir,
			dma_addr_t addr, unsigned int kind, u32 stack)
{
	while (size) {
		struct page *page = vmalloc_to_page((void *)virt);
		phys_addr_t phys = page_to_phys(page) + offset_in_page(virt);
		size_t run = min(size, PAGE_SIZE - offset_in_page(virt));

		while (run < size &&
		       page_to_phys(vmalloc_to_page((void *)(virt + run))) == phys + run)
			run += min(size - run, PAGE_SIZE);
		iommu_debug_dma_add(dev, phys, run, dir, addr, kind, stack);
		virt += run;
		addr += run;
		size -= run;
	}
}

void __iommu_debug_dma_map(struct device *dev, phys_addr_t phys, size_t size, int dir,
			   dma_addr_t addr, unsigned long attrs, enum iommu_debug_kind kind)
{
	/* What is no memory is never freed. */
	if (addr == DMA_MAPPING_ERROR || attrs & DMA_ATTR_MMIO)
		return;
	iommu_debug_dma_add(dev, phys, size, dir, addr, kind, save_stack());
}

void __iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr, size_t size,
			     unsigned long attrs, enum iommu_debug_kind kind)
{
	if (!(attrs & DMA_ATTR_MMIO))
		iommu_debug_dma_remove(dev, addr, size, kind,
				       kind != IOMMU_DEBUG_SINGLE);
}

void __iommu_debug_dma_alloc(struct device *dev, void *virt, size_t size, dma_addr_t addr,
			     unsigned long attrs)
{
	/* With this attribute, @virt is no address. */
	if (!virt || attrs & DMA_ATTR_NO_KERNEL_MAPPING)
		return;
	if (is_vmalloc_addr(virt))
		add_vmalloc(dev, (unsigned long)virt, size, DMA_BIDIRECTIONAL, addr,
			    IOMMU_DEBUG_COHERENT, save_stack());
	else if (virt_addr_valid(virt))
		iommu_debug_dma_add(dev, virt_to_phys(virt), size, DMA_BIDIRECTIONAL, addr,
				    IOMMU_DEBUG_COHERENT, save_stack());
}

/*
 * Entries are what memory consists of, and segments what the device sees: those
 * hold one or more entries each, in order.
 */
void __iommu_debug_dma_map_sg(struct device *dev, struct scatterlist *sgl, int nents, int dir,
			      unsigned long attrs)
{
	struct scatterlist *entry, *segment = sgl;
	size_t done = 0;
	u32 stack;
	int i;

	if (attrs & DMA_ATTR_MMIO)
		return;
	stack = save_stack();
	for_each_sg(sgl, entry, nents, i) {
		if (!segment || !sg_dma_len(segment))
			break;
		/* Another device's memory. */
		if (sg_dma_is_bus_address(segment)) {
			segment = sg_next(segment);
			continue;
		}
		iommu_debug_dma_add(dev, sg_phys(entry), entry->length, dir,
				    sg_dma_address(segment) + done, IOMMU_DEBUG_SG, stack);
		done += entry->length;
		if (done >= sg_dma_len(segment)) {
			segment = sg_next(segment);
			done = 0;
		}
	}
}

void __iommu_debug_dma_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
				unsigned long attrs)
{
	struct scatterlist *segment;
	int i;

	if (attrs & DMA_ATTR_MMIO)
		return;
	for_each_sg(sgl, segment, nents, i) {
		if (!sg_dma_len(segment))
			break;
		if (!sg_dma_is_bus_address(segment))
			iommu_debug_dma_remove(dev, sg_dma_address(segment), sg_dma_len(segment),
					       IOMMU_DEBUG_SG, true);
	}
}

void __iommu_debug_check_object(struct kmem_cache *cache, const void *object, bool is_free)
{
	iommu_debug_check_range((unsigned long)object, virt_to_phys((void *)object),
				cache->object_size, cache->name, is_free);
}

void __iommu_debug_driver_unbound(struct device *dev)
{
	iommu_debug_unbound(dev);
}
