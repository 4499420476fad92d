/** One page, complete in itself: no script, no font, no picture and no address outside of it, and a policy that would refuse them. */
import type { NamedReport } from '../machine.ts';
import { pageHead } from './head.ts';
import { machineSection } from './machine.ts';
import { machinesSection } from './machines.ts';
import { html } from './markup.ts';
import { STYLE } from './style.ts';

export function formatHtml(reports: readonly NamedReport[]): string {
  const several = reports.length > 1;
  const title = several
    ? `wcvmm: ${reports.length} machines`
    : `wcvmm: ${reports[0]?.name ?? ''} ${reports[0]?.report.device.address ?? ''}`.trim();
  const emulated = reports.flatMap(({ name, report }) =>
    report.platform.emulator === null ? [] : [`${several ? `${name} ` : ''}by ${report.platform.emulator}`],
  );
  return html`${pageHead({ title, sheet: STYLE })}
<header><p class="brand">wcvmm</p><h1>Memory types of a BAR in guests</h1>
${emulated.length > 0 ? html`<p class="emulated" role="note"><b>Emulated</b> ${emulated.join(', ')}: faults and what the kernel programmed are real; timing is not.</p>` : null}</header>
${several ? html`<nav aria-label="Machines"><ul><li><a href="#machines">side by side</a></li>${reports.map(({ name }, index) => html`<li><a href="#m${index}">${name}</a></li>`)}</ul></nav>` : null}
<main id="main">
${several ? machinesSection(reports) : null}
${reports.map(machineSection)}
</main>
<footer><p><b>predicted</b> by the model, <b>programmed</b> as read back from the kernel, <b>observed</b> by a bare guest: three kinds of evidence, never mixed.</p></footer>
</body>
</html>
`.text;
}
