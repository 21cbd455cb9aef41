//! A slot in the hands of one thread; those of many are in `tests/model.rs`.
//!
//! Apart from the slot, since that is compiled a second time there, over a model checker.

use crate::slot::{Look, Released, Slot};

#[test]
#[expect(unsafe_code, reason = "looking at the value needs the pin that the test has")]
fn a_value_is_held_and_taken() {
    let slot = Slot::new();
    assert!(!slot.pin());
    assert_eq!(slot.take(), None);
    assert_eq!(slot.put(1), Ok(()));
    assert_eq!(slot.put(2), Err(2), "it is not empty");
    assert_eq!(slot.take(), None, "it is held");
    assert!(slot.pin());
    slot.repin();
    assert_eq!(slot.look(), Look { full: true, pins: 3, uses: 2, dismissed: false });
    // SAFETY: there are three pins.
    assert_eq!(unsafe { slot.get() }, Some(&1));
    assert_eq!(slot.unpin(), Released { last: false, dismissed: false });
    assert!(!slot.dismiss());
    assert_eq!(slot.unpin(), Released { last: false, dismissed: true });
    assert_eq!(slot.unpin(), Released { last: true, dismissed: true });
    assert_eq!(slot.take(), Some(1));
    assert_eq!(slot.take(), None);
    assert!(slot.dismiss(), "nobody holds nothing");
    assert_eq!(slot.put(3), Ok(()), "and an empty slot stays usable");
    assert_eq!(slot.unpin(), Released { last: true, dismissed: false });
}

#[test]
fn what_is_seized_is_left_as_it_was_or_emptied_or_filled_again() {
    let slot = Slot::new();
    assert!(slot.seize().is_none(), "there is nothing");
    slot.seize_empty().unwrap().fill(1);
    assert!(slot.seize().is_none() && slot.seize_empty().is_none(), "it is held");
    slot.unpin();
    let seized = slot.seize().unwrap();
    assert_eq!(seized.value(), Some(&1));
    assert!(!slot.pin() && slot.seize().is_none() && slot.seize_empty().is_none(), "it is somebody's alone");
    drop(seized);
    assert_eq!(slot.look(), Look { full: true, pins: 0, uses: 1, dismissed: false });
    slot.dismiss();
    let mut seized = slot.seize().unwrap();
    assert_eq!(seized.take(), Some(1));
    seized.fill(2);
    assert_eq!(slot.look(), Look { full: true, pins: 1, uses: 1, dismissed: false }, "all that was is gone");
    slot.unpin();
    assert_eq!(slot.seize().unwrap().take(), Some(2));
    assert_eq!(slot.look(), Look { full: false, pins: 0, uses: 0, dismissed: false });
}
