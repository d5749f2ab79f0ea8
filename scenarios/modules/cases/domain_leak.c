// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapping of the DMA API that a driver leaves behind when it lets go of its device.
 * It can be told from a mapping in use when its domain is freed: as the device is
 * removed, or as its group gets another type of domain. The device cannot reach the
 * pages any longer then, so what happens to them is no bug.
 */
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pci.h>

#include "cases.h"

/* Maps two pages and leaves them mapped, with @bug. */
static int leak(struct device *dev, bool bug, struct page **page)
{
	dma_addr_t dma[2];
	int i, ret = 0;

	for (i = 0; i < 2; i++) {
		page[i] = alloc_page(GFP_KERNEL);
		if (!page[i])
			return -ENOMEM;
		ret = map_page(dev, page[i], &dma[i]);
		if (ret)
			return ret;
		if (!bug)
			unmap_page(dev, dma[i]);
	}
	return 0;
}

/* The pages are in use as before. They are not freed, see over_unmap.c. */
static int reuse(struct page **page)
{
	int i;

	for (i = 0; i < 2; i++) {
		page[i] = free_and_get_again(page[i], 0);
		if (!page[i])
			return -EAGAIN;
	}
	return 0;
}

int case_removed(struct pci_dev *pdev, bool bug)
{
	struct pci_bus *bus = pdev->bus;
	struct page *page[2];
	int ret;

	ret = leak(&pdev->dev, bug, page);
	if (ret)
		return ret;

	pci_stop_and_remove_bus_device_locked(pdev);
	ret = reuse(page);

	/* Later steps want the device again. */
	pci_lock_rescan_remove();
	pci_rescan_bus(bus);
	pci_unlock_rescan_remove();
	return ret;
}

/* The same by work that outlives the driver: it maps when that has let go already. */
int case_removed_late(struct pci_dev *pdev, bool bug)
{
	device_release_driver(&pdev->dev);
	return case_removed(pdev, bug);
}

static int set_group_type(struct device *dev, const char *type)
{
	struct iommu_group *group = iommu_group_get(dev);
	char line[80];

	if (!group)
		return -ENODEV;
	snprintf(line, sizeof(line), "echo %s >/sys/kernel/iommu_groups/%d/type", type,
		 iommu_group_id(group));
	iommu_group_put(group);
	return shell(line);
}

int case_group_type(struct pci_dev *pdev, bool bug)
{
	struct page *page[2];
	int ret;

	ret = leak(&pdev->dev, bug, page);
	if (ret)
		return ret;

	/* A group whose device has a driver keeps its domain. */
	device_release_driver(&pdev->dev);
	ret = set_group_type(&pdev->dev, "identity");
	if (ret)
		return ret;

	ret = reuse(page);
	return set_group_type(&pdev->dev, "DMA") ?: ret;
}
