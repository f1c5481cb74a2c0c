import time
from datetime import datetime, UTC
from tests.statements.world import World, VAULT
from service.statements import gather, exports
from service.statements.formats import csv
from service.earnings import creator
from service.runtime import db
from sqlalchemy import text
def test_big(database):
    n=60000
    t=time.time()
    with db.transaction(database) as s:
        w=World(s)
        from service.parties import creators
        creators.ensure(s,w.platform.id,[f"c-{i}" for i in range(n)],now=w.now)
        w.register=lambda *a: None
        w.close("2026-08",10**9,{(f"c-{i}","2026-08"):10000*(i+1) for i in range(n)},now=datetime(2026,9,6,tzinfo=UTC))
        w.close("2026-09",10**9,{(f"c-{i}","2026-09"):10000*(i+1) for i in range(n)},now=datetime(2026,10,6,tzinfo=UTC))
        w.pay("c-500",300,"sent","paid")
    print("setup",time.time()-t)
    for analyzed in (0,1):
        with db.transaction(database) as s:
            for k in range(3):
                t=time.time(); one=gather.creator_statement(s,w.platform,"c-500","2026-09",VAULT); print("statement ms",1000*(time.time()-t))
            t=time.time(); creator.summary(s,w.platform,"c-500",now=w.now); print("summary ms",1000*(time.time()-t))
            t=time.time(); creator.of_period(s,w.platform,"c-500","2026-09"); print("of_period ms",1000*(time.time()-t))
    import resource
    with db.transaction(database) as s:
        a=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        t=time.time(); tb=exports.journal(s,w.platform.id); c=sum(len(p) for p in csv.stream(tb.header,tb.rows)); print("journal s",time.time()-t,c, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-a)
