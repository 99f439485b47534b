#!/usr/bin/env python3
"""Send the cases to a server and hold its answers against those that real Barbican 23.0.0 gave.

  replay.py --endpoint http://127.0.0.1:9311                              every area, project-header mode
  replay.py --endpoint URL --areas versions,auth,post,get,put,delete,expiry,list,methods,metadata
  replay.py --endpoint URL --mode keystone --keystone http://127.0.0.1:5000/v3 --golden keystone-secure-rbac.json
  --only REGEX   report these case ids alone        -v   show every difference whole        --quiet   the count alone
  --record FILE  write what the server answered, in the form of the recorded answers, and compare nothing

areas, project mode: versions auth post get methods put delete expiry list metadata acl containers consumers orders
quotas stores transport_keys.  A case passes when status, body, and the headers recorded are the same; ids, times, hosts
and request ids are normalised.  Where real Barbican answered 5xx or dropped the connection, any answer below 500 passes.
A case without a recorded answer fails only by a 5xx or a dropped connection.  Exit 0 when nothing differs.
Standard library only.
"""
import argparse, collections, json, os, re, sys, uuid, warnings
warnings.simplefilter('ignore')
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import engine

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument('--endpoint', required=True)
ap.add_argument('--mode', choices=('project', 'keystone'), default='project')
ap.add_argument('--keystone')
ap.add_argument('--golden')
ap.add_argument('--areas')
ap.add_argument('--roles')
ap.add_argument('--only', default='')
ap.add_argument('--record')
ap.add_argument('-v', action='store_true')
ap.add_argument('--quiet', action='store_true')
a = ap.parse_args()
golden = a.golden or os.path.join(here, 'project-header.json' if a.mode == 'project' else 'keystone-secure-rbac.json')
areas = a.areas.split(',') if a.areas else None
rig = engine.Rig(a.endpoint)
if a.mode == 'project':
    import cases_project
    cases_project.run(rig, 'g' + uuid.uuid4().hex[:12], roles=a.roles, areas=areas)
else:
    import cases_keystone
    cases_keystone.run(rig, a.keystone, areas=areas)

if a.record:
    rows = [json.dumps(r, ensure_ascii=False, separators=(',', ':')) for r in rig.records]
    open(a.record, 'w').write('[\n' + ',\n'.join(rows) + '\n]\n')
    print('%d answers recorded' % len(rows))
    sys.exit()

want = {r['id']: r for r in json.load(open(golden))}
sent = {r['id']: r for r in rig.records}
only = re.compile(a.only)
bad, good = collections.OrderedDict(), collections.Counter()
total = collections.Counter()
for i, mine in sent.items():
    if not only.search(i):
        continue
    area, got = i.split('.')[0], mine['response']
    ref = want.get(i)
    if ref is None or ref['response']['status'] >= 500 or ref['response']['status'] == 0:
        if ref is not None:
            total[area] += 1
        if got['status'] >= 500 or got['status'] == 0:
            bad[i] = [('status', 'an answer below 500', got['status'])]
        elif ref is not None:
            good[area] += 1
        continue
    total[area] += 1
    diffs = [(what, x, y) for _, what, x, y in engine.compare([ref], [mine])]
    if diffs:
        bad[i] = diffs
    else:
        good[area] += 1
if not a.quiet:
    for i, diffs in bad.items():
        q = sent[i]['request']
        print('%s  %s %s' % (i, q['method'], q['path']))
        if a.v:
            print('    sent: ' + json.dumps(q, ensure_ascii=False)[:1500])
        for what, x, y in diffs:
            if not a.v and what == 'headers' and any(d[0] == 'status' for d in diffs):
                continue
            n = 4000 if a.v else 300
            print('    %s\n      barbican: %s\n      here:     %s' % (what, json.dumps(x, ensure_ascii=False)[:n], json.dumps(y, ensure_ascii=False)[:n]))
    print(' '.join('%s %d/%d' % (k, good[k], total[k]) for k in total))
same = sum(good.values())
print('%d of %d recorded cases the same; %d differ' % (same, sum(total.values()), len(bad)))
sys.exit(1 if bad else 0)
