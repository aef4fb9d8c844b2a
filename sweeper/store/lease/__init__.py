"""Who may drive a sweep: one driver at a time, on one machine or on several that share a store.

- `holder`: a driver as a record names it, and whether it still lives.
- `lease`: claim, heartbeat, takeover and release, on any `Slot` with compare-and-swap.
- `file_slot`: a slot in a folder; `store/tracking/lease_slot.py` has one in the tracking store.
- `driver_lock`: the lease of a sweep's folder, sped up by `flock` where file locks work.
"""

from sweeper.store.lease.driver_lock import DriverLock, living_driver
from sweeper.store.lease.holder import Holder, living, parse, this_machine, this_process, user_name
from sweeper.store.lease.lease import Held, Lease, Slot, TakenOver, sweep_lease

__all__ = [
    "DriverLock",
    "Held",
    "Holder",
    "Lease",
    "Slot",
    "TakenOver",
    "living",
    "living_driver",
    "parse",
    "sweep_lease",
    "this_machine",
    "this_process",
    "user_name",
]
