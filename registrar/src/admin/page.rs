//! The page an operator opens: it asks the other paths, every two seconds.

/// The page, whole: it loads nothing from anywhere else.
pub(super) const PAGE: &str = r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Registrar</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8888; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 66rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
#sub { color: var(--soft); margin: 0 0 1.5rem }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; min-width: 8.5rem }
.tile b { display: block; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums }
.tile span { color: var(--soft) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
tr.pool { cursor: pointer } .bad { color: #c33 } button { font: inherit }
</style></head><body>
<h1>Registrar <span id="id"></span></h1><p id="sub"></p>
<div class="tiles" id="tiles"></div>
<h2>Pools</h2>
<table><thead><tr><th>Pool handle</th><th>Policy</th><th>Transport</th><th class="n">Elements</th></tr></thead>
<tbody id="pools"></tbody></table><p><button id="more" hidden>More pools</button></p>
<div id="pool"></div>
<script>
const at = id => document.getElementById(id), short = new Intl.NumberFormat();
const cell = (row, text, cls) => { const td = row.insertCell(); td.textContent = text; if (cls) td.className = cls; };
const get = async path => { const r = await fetch(path); const j = await r.json(); if (!r.ok) throw new Error(j.error); return j; };
let last = null, next = null, chosen = null, extra = 0;
const total = (s, name) => s.shards.reduce((a, sh) => a + sh.counts.find(c => c.name === name).count, 0);
const tile = (label, value) => `<div class="tile"><b>${value}</b><span>${label}</span></div>`;
async function status() {
  const s = await get('/v1/status'), now = performance.now();
  at('id').textContent = s.id;
  at('sub').textContent = `${s.asap.join(', ')} \u00b7 ${s.host} \u00b7 ${s.shards.length} shards \u00b7 up ${Math.round(s.uptime_seconds)} s \u00b7 ${s.version}`;
  const sum = Object.fromEntries(['registrations', 'reregistrations', 'resolutions', 'selections', 'keep_alives', 'elements_silent'].map(n => [n, total(s, n)]));
  const rate = n => last ? short.format(Math.round((sum[n] - last.sum[n]) / (now - last.now) * 1000)) : '\u2013';
  at('tiles').innerHTML = tile('pool elements', short.format(s.elements)) + tile('pools', short.format(s.pools))
    + tile('connections', short.format(s.shards.reduce((a, sh) => a + sh.connections, 0)))
    + tile('registrations/s', rate('registrations')) + tile('re-registrations/s', rate('reregistrations'))
    + tile('resolutions/s', rate('resolutions')) + tile('selections/s', rate('selections'))
    + tile('keep-alives/s', rate('keep_alives')) + tile('found dead', short.format(sum.elements_silent));
  last = { sum, now };
}
async function pools() {
  let after = 0, rows = [], rounds = 0;
  do { const p = await get(`/v1/pools?limit=100&after=${after}`); rows.push(...p.pools); after = p.next; } while (after !== null && rounds++ < extra);
  next = after; at('more').hidden = next === null;
  const body = document.createElement('tbody'); body.id = 'pools';
  for (const p of rows) {
    const row = body.insertRow(); row.className = 'pool';
    cell(row, p.handle); cell(row, p.policy); cell(row, p.transport); cell(row, short.format(p.elements), 'n');
    row.onclick = () => { chosen = p.handle_hex.replace(/../g, '%$&'); pool(); };
  }
  at('pools').replaceWith(body);
}
async function pool() {
  if (!chosen) return;
  try {
    const p = await get('/v1/pools/' + chosen);
    const box = document.createElement('div'); box.id = 'pool';
    const h = document.createElement('h2'); h.textContent = `${p.handle}: ${short.format(p.elements)} elements`; box.append(h);
    const t = document.createElement('table'), head = t.createTHead().insertRow();
    for (const name of ['Identifier', 'Service', 'Policy', 'Home', 'Life', 'State']) { const th = document.createElement('th'); th.textContent = name; head.append(th); }
    const body = t.createTBody();
    for (const e of p.list) {
      const row = body.insertRow();
      cell(row, e.id); cell(row, e.addresses.join(', ')); cell(row, e.policy); cell(row, e.home);
      cell(row, e.life_seconds === null ? 'infinite' : e.life_seconds + ' s');
      const state = [e.drained && 'drained', e.awaited && 'keep-alive unanswered', e.reports && `${e.reports} reports`].filter(Boolean).join(', ');
      cell(row, state || 'in service', state ? 'bad' : '');
    }
    box.append(t);
    if (p.next !== null) box.append(`and ${short.format(p.elements - p.list.length)} more`);
    at('pool').replaceWith(box);
  } catch (error) { chosen = null; at('pool').textContent = ''; }
}
at('more').onclick = () => { extra++; pools(); };
async function tick() {
  try { await status(); await pools(); await pool(); at('sub').className = ''; }
  catch (error) { at('sub').textContent = 'no answer: ' + error.message; at('sub').className = 'bad'; }
  setTimeout(tick, 2000);
}
tick();
</script></body></html>
"##;
