// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binds to QEMU's "edu" device, a PCI function behind the IOMMU, and misuses its
 * mappings in the way that test= names. Only cases of late.c start the device.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "cases.h"

static char *test = "";
module_param(test, charp, 0444);
MODULE_PARM_DESC(test, "name of the misuse");

static bool bug = true;
module_param(bug, bool, 0444);
MODULE_PARM_DESC(bug, "0: do the same work correctly");

static const struct test {
	const char *name;
	int (*run)(struct device *dev, bool bug);
	/* Instead of run, once probe() is done. */
	int (*after)(struct pci_dev *pdev, bool bug);
} tests[] = {
	{ "order3", case_order3 },
	{ "twice", case_twice },
	{ "sg", case_sg },
	{ "vmalloc", case_vmalloc },
	{ "cpu", case_cpu },
	{ "domain", case_domain },
	{ "gone", case_gone },
	{ "gone_reused", case_gone_reused },
	{ "huge", case_huge },
	{ "huge_pages", case_huge_pages },
	{ "again", case_again },
	{ "reuse", case_reuse },
	{ "failed_map", case_failed_map },
	{ "map_fails", case_map_fails },
	{ "map_over", case_map_over },
	{ "map_over_parts", case_map_over_parts },
	{ "over_unmap", case_over_unmap },
	{ "over_unmap_16k", case_over_unmap_16k },
	{ "unmap_hole", case_unmap_hole },
	{ "address_zero", case_address_zero },
	{ "last_address", case_last_address },
	{ "no_memory", case_no_memory },
	{ "offline", case_offline },
	{ "race", case_race },
	{ "object", case_object },
	{ "object_large", case_object_large },
	{ "object_cache", case_object_cache },
	{ "object_bulk", case_object_bulk },
	{ "object_rcu", case_object_rcu },
	{ "object_skb", case_object_skb },
	{ "object_again", case_object_again },
	{ "owned_page", case_owned_page },
	{ "repeated_page", case_repeated_page },
	{ "owned_sg", case_owned_sg },
	{ "owned_buffers", case_owned_buffers },
	{ "shared", case_shared },
	{ "skip_sync", case_skip_sync },
	{ "turns", case_turns },
	{ "mmio", case_mmio },
	{ "page_pool", case_page_pool },
	{ "dma_buf", case_dma_buf },
	{ "stale_page", case_stale_page },
	{ "stale_object", case_stale_object },
	{ "stale_read", case_stale_read },
	{ "all_errors", case_all_errors },
	{ "unmap_not_mapped", case_unmap_not_mapped },
	{ "unmap_twice", case_unmap_twice },
	{ "unmap_size", case_unmap_size },
	{ "unmap_kind", case_unmap_kind },
	{ "unmap_coherent", case_unmap_coherent },
	{ "unmap_direction", case_unmap_direction },
	{ "late_write", case_late_write },
	{ "late_read", case_late_read },
	{ "late_freed", case_late_freed },
	{ "late_reused", case_late_reused },
	{ "late_remapped", case_late_remapped },
	{ "late_reported", case_late_reported },
	{ "iotlb_fast", case_iotlb_fast },
	{ "iotlb_lazy", case_iotlb_lazy },
	{ "same_page", case_same_page },
	{ "unbound", .after = case_unbound },
	{ "removed", .after = case_removed },
	{ "removed_late", .after = case_removed_late },
	{ "group_type", .after = case_group_type },
};

/* The driver core swallows the result of probe(); loading the module must not. */
static int result = -ENODEV;

/* The device that was bound. */
static struct pci_dev *bound;

static const struct test *find(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++)
		if (!strcmp(test, tests[i].name))
			return &tests[i];
	return NULL;
}

static int cases_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	/* A case that removes its device finds it again. */
	if (bound)
		return 0;
	bound = pci_dev_get(pdev);

	result = pcim_enable_device(pdev);
	if (!result)
		result = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(28));
	if (!result && find()->run)
		result = find()->run(&pdev->dev, bug);
	return result;
}

static const struct pci_device_id cases_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, cases_ids);

static struct pci_driver cases_driver = {
	.name = KBUILD_MODNAME,
	.id_table = cases_ids,
	.probe = cases_probe,
};

static int __init cases_init(void)
{
	int ret;

	if (!find()) {
		pr_err("no test \"%s\"\n", test);
		return -EINVAL;
	}

	ret = pci_register_driver(&cases_driver);
	if (ret)
		return ret;
	if (!result && find()->after)
		result = find()->after(bound, bug);
	pr_info("%s, bug=%d: %d\n", test, bug, result);

	if (result) {
		pci_unregister_driver(&cases_driver);
		pci_dev_put(bound);
	}
	return result;
}
module_init(cases_init);

static void __exit cases_exit(void)
{
	pci_unregister_driver(&cases_driver);
	pci_dev_put(bound);
}
module_exit(cases_exit);

MODULE_DESCRIPTION("Misuses of DMA mappings for the sanitizer to find");
MODULE_LICENSE("GPL");
