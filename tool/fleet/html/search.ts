/** The page's only script: narrows the page down to hosts and groups that have a text. Without it everything is shown. */
export const SEARCH_SCRIPT = `
const field = document.getElementById('search');
const groups = [...document.querySelectorAll('.group')].map((element) => ({
  element,
  details: element.querySelector('details'),
  about: element.querySelector('.about').textContent.toLowerCase(),
  hosts: [...element.querySelectorAll('.hosts li')].map((item) => ({ item, name: item.textContent.toLowerCase() })),
}));
const status = document.getElementById('found');
function search() {
  const wanted = field.value.trim().toLowerCase();
  let found = 0;
  for (const { element, details, about, hosts } of groups) {
    const whole = about.includes(wanted);
    let some = 0;
    for (const { item, name } of hosts) {
      const fits = whole || name.includes(wanted);
      item.hidden = !fits;
      if (fits) some += 1;
    }
    element.hidden = some === 0;
    details.open = wanted !== '' && some > 0 && !whole;
    found += some;
  }
  for (const section of document.querySelectorAll('.kind'))
    section.hidden = !section.querySelector('.group:not([hidden])');
  status.textContent = wanted === '' ? '' : found + (found === 1 ? ' host' : ' hosts');
}
field.addEventListener('input', search);
document.getElementById('searching').hidden = false;
`;
