from tests.payouts.test_settlement_laws import *
from tests.payouts.test_settlement_laws import _let_all_settle
def test_dbg(module_database):
    world = World(module_database, pace=Pace(watch_s=1))
    world.pay({"an": (700, "970400010002")})
    print(world.step(), world.clock.now)
    for _ in range(14):
        with db.transaction(world.database) as session:
            due_at = settlement.due_at(session, world.platform.id)
        world.clock.now = max(world.clock.now, due_at) if due_at else world.clock.now
        print(due_at, world.step(owner="fair weather"))
        for h in world.payouts(): print(h.state, h.due_at, h.sent_at)
