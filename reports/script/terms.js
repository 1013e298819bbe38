// Words that are explained a hover, a focus or a tap away: one tip, which says what the glossary
// says. It stays while the pointer is on it, and Escape sends it away.
{
  const PATIENCE = 180; // milliseconds to reach a word, or the tip from its word
  const EDGE = 12; // pixels between the tip and the edge of the window

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.getElementById("main").append(tip);

  let shown = null; // the word whose tip is open
  let waiting = 0;
  let touched = false;

  const term = (event) => event.target.closest("a.term");

  const later = (work) => {
    clearTimeout(waiting);
    waiting = setTimeout(work, PATIENCE);
  };

  const hide = () => {
    clearTimeout(waiting);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  };

  // Below the word, or above it where there is more room; never beyond the sides.
  const place = () => {
    const word = shown.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const under = clientHeight - word.bottom - EDGE, over = word.top - EDGE;
    tip.style.removeProperty("max-height");
    const below = tip.offsetHeight <= under || over < under;
    tip.style.setProperty("max-height", `${below ? under : over}px`);
    const left = Math.max(EDGE, Math.min(word.left, clientWidth - tip.offsetWidth - EDGE));
    const top = below ? word.bottom : word.top - tip.offsetHeight;
    tip.style.setProperty("left", `${left + scrollX}px`);
    tip.style.setProperty("top", `${top + scrollY}px`);
  };

  const paragraph = (source) => {
    const copy = document.createElement("p");
    copy.className = source.className;
    copy.textContent = source.textContent;
    return copy;
  };

  const show = (word) => {
    hide();
    const entry = document.getElementById(word.hash.slice(1));
    if (!entry) return;
    tip.replaceChildren(...[...entry.querySelectorAll("dd p")].map(paragraph));
    tip.hidden = false;
    shown = word;
    shown.setAttribute("aria-describedby", tip.id);
    place();
  };

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const word = term(event);
    if (tip.contains(event.target) || (word && word === shown)) clearTimeout(waiting);
    else if (word) later(() => show(word));
    else if (shown?.matches(":focus-visible")) clearTimeout(waiting);
    else later(hide);
  });
  document.addEventListener("focusin", (event) => {
    const word = term(event);
    if (word?.matches(":focus-visible")) show(word);
  });
  document.addEventListener("focusout", (event) => {
    if (event.target === shown) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });

  // A finger cannot hover: its first tap on a word opens the tip, the second follows the link.
  document.addEventListener("pointerdown", (event) => {
    touched = event.pointerType === "touch";
    if (shown && !tip.contains(event.target) && term(event) !== shown) hide();
  });
  document.addEventListener("click", (event) => {
    const word = term(event);
    if (!word) return;
    if (touched && word !== shown) {
      event.preventDefault();
      show(word);
    } else hide();
  });
  addEventListener("resize", hide);
}
