//! The contracts of lane and table.

use std::rc::Rc;
use std::sync::Arc;

use longwire_engine::contract::{OpenLane, OpenTable, check_lane, check_table};
use longwire_engine::disk::{RealDisk, SimDisk};
use longwire_engine::local::{Durability, Folder, Options};

use crate::support::{RealFolder, folder_on, options};

fn open_lane(folder: Folder) -> OpenLane {
    Box::new(move || Box::new(folder.open_lane().unwrap()))
}

fn open_table(folder: Folder) -> OpenTable {
    Box::new(move || Box::new(folder.open_table().unwrap()))
}

#[test]
fn the_lane_on_a_simulated_disk_keeps_it() {
    for durability in [Durability::Fsync, Durability::Os] {
        let options = Options { durability, ..options(8192) };
        check_lane(&mut || open_lane(folder_on(&SimDisk::new(1), options)));
    }
}

#[test]
fn the_lane_on_real_files_keeps_it() {
    for background in [false, true] {
        let options = Options { background, segment_bytes: 64 << 10, ..Options::default() };
        check_lane(&mut || {
            let path = Rc::new(RealFolder::new());
            let folder = Folder::open(Arc::new(RealDisk), &path.0, options).unwrap();
            let open = open_lane(folder);
            Box::new(move || {
                let _lives_as_long = &path;
                open()
            })
        });
    }
}

#[test]
fn the_table_on_a_simulated_disk_keeps_it() {
    check_table(&mut || open_table(folder_on(&SimDisk::new(1), options(8192))));
}

#[test]
fn the_table_on_real_files_keeps_it() {
    check_table(&mut || {
        let path = Rc::new(RealFolder::new());
        let folder = Folder::open(Arc::new(RealDisk), &path.0, Options::default()).unwrap();
        let open = open_table(folder);
        Box::new(move || {
            let _lives_as_long = &path;
            open()
        })
    });
}
