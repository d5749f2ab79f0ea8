// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The words of reports that tell who mapped: what people and scripts read, so it is spelled out here once more.

use dmasan_engine::mapped_at::{
    hint, kind_name, Direction, Domain, MappingFacts, ObjectFacts, OthersLive, Owner, Reach,
    UnbindFacts, MAPPED_AT, UNBOUND_AT,
};
use dmasan_engine::report::Class;
use dmasan_engine::unmapped_at::UnmapError;

const OWNER: Owner<'_> = Owner {
    device: "0000:00:03.0",
    driver: "edu",
};

#[test]
fn directions_are_those_of_the_kernel() {
    let reach = |direction| {
        let reach = Reach {
            owner: OWNER,
            direction,
            bytes: 3,
            offset: 7,
        };
        reach.to_string()
    };
    let expected = [
        ("bidirectional", "READ and WRITE"),
        ("to-device", "READ"),
        ("from-device", "WRITE"),
        ("none", "reach"),
        ("none", "reach"),
    ];
    for (value, (name, verb)) in (0..).zip(expected) {
        let direction = Direction::from_kernel(value);
        assert_eq!(direction.name(), name);
        let text = format!("edu 0000:00:03.0: the device can {verb} 3 bytes at offset 7");
        assert_eq!(reach(direction), text);
    }
}

#[test]
fn kinds_are_those_of_the_hooks() {
    let names: Vec<_> = (0..6).map(kind_name).collect();
    let expected = ["single", "sg", "coherent", "pages", "link", "unknown"];
    assert_eq!(names, expected);
}

#[test]
fn domains_have_names() {
    let all = [Domain::None, Domain::Passthrough, Domain::Translated];
    let names = all.map(Domain::name);
    assert_eq!(names, ["none", "passthrough", "translated"]);
}

#[test]
fn errors_of_unmaps_have_names() {
    use UnmapError::{Direction, Kind, NotMapped, Size, Twice};
    let names = [NotMapped, Twice, Size, Kind, Direction].map(UnmapError::name);
    assert_eq!(names, ["not-mapped", "twice", "size", "kind", "direction"]);
}

#[test]
fn facts_are_in_their_places() {
    let mapping = MappingFacts {
        owner: OWNER,
        dma: 0x1000,
        phys: 0x2000,
        size: 3,
        from: Some(4),
        direction: Direction::ToDevice,
        kind: 0,
        attrs: 0x20,
        domain: Domain::Translated,
        cpu: 5,
        comm: "insmod",
        pid: 6,
        age: 7,
    };
    assert_eq!(
        mapping.to_string(),
        "[device=0000:00:03.0] [driver=edu] [iova=0x1000] [phys=0x2000] [size=3] [from=4] \
         [dir=to-device] [kind=single] [attrs=0x20] [domain=translated] [cpu=5] [task=insmod/6] [age_us=7]"
    );
    let object = ObjectFacts {
        object: 0x1000,
        phys: 0x2000,
        size: 3,
        cache: "kmalloc-8",
        mapped: 4,
        cpu: 5,
        comm: "insmod",
        pid: 6,
    };
    assert_eq!(
        object.to_string(),
        "[object=0x1000] [phys=0x2000] [size=3] [cache=kmalloc-8] [mapped=4] [cpu=5] [task=insmod/6]"
    );
    let unbind = UnbindFacts {
        owner: OWNER,
        mappings: 1,
        bytes: 2,
        cpu: 5,
        comm: "insmod",
        pid: 6,
    };
    assert_eq!(
        unbind.to_string(),
        "[device=0000:00:03.0] [driver=edu] [mappings=1] [bytes=2] [cpu=5] [task=insmod/6]"
    );
    let others = OthersLive {
        device: OWNER.device,
        mappings: 17,
    };
    let text = others.to_string();
    assert_eq!(text, "other live mappings of 0000:00:03.0: 17");
    assert_eq!((MAPPED_AT, UNBOUND_AT), ("mapped at:", "unbound at:"));
}

#[test]
fn hints_are_for_who_can_do_something() {
    for class in Class::ALL {
        let without = class == Class::CountImbalance;
        assert_eq!(hint(class).is_none(), without, "{}", class.name());
        // By this the parser knows them.
        assert!(hint(class).is_none_or(|text| text.starts_with("hint: ") && text.len() > 20));
    }
    assert_eq!(
        hint(Class::FreeWhileMapped),
        hint(Class::ObjectFreeWhileMapped)
    );
    assert_ne!(hint(Class::FreeWhileMapped), hint(Class::AllocWhileMapped));
    assert_ne!(hint(Class::FreeWhileMapped), hint(Class::UnbindLeak));
}
