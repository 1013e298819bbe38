// The large view: one tile at a time, among those that the gallery shows.
{
  const dialog = document.querySelector("#large");
  if (dialog && dialog.showModal) {
    const grid = document.querySelector("#tiles");
    const part = (name) => dialog.querySelector(name);
    const [stage, slider, whole, beside] = [".stage", ".slider", ".whole", ".beside-stage"].map(part);
    const range = slider.querySelector("input");
    let shown = null;

    const copyOf = (picture) => {
      const copy = picture.cloneNode(true);
      copy.removeAttribute("loading");
      return copy;
    };
    const crop = (picture, place) => {
      const copy = copyOf(picture);
      copy.alt = "";
      copy.style.setProperty("object-position", `${(100 * place) / (picture.dataset.parts - 1)}% 50%`);
      return copy;
    };
    const ratio = (picture) => picture.getAttribute("width") / picture.getAttribute("height") || 1;
    const slide = () => slider.style.setProperty("--at", `${range.value}%`);
    const compare = (picture, panels) => {
      const { parts, before, after } = picture.dataset;
      slider.hidden = !parts;
      slider.querySelectorAll("img").forEach((copy) => copy.remove());
      if (!parts) return;
      slider.prepend(crop(picture, Number(before)), crop(picture, Number(after)));
      slider.style.setProperty("--ratio", ratio(picture) / parts);
      const [first, second] = [before, after].map((place) => panels.children[place]);
      const words = (panel) => panel.textContent.trim().replace(/\s+/g, " ");
      range.setAttribute("aria-label", `From "${words(first)}" to "${words(second)}"`);
      [first, second].forEach((panel, place) => {
        slider.querySelectorAll(".names span")[place].textContent = panel.querySelector("strong").textContent;
      });
      range.value = 50;
      slide();
    };

    // What a tile holds is lent to the view, and the tile keeps its height meanwhile.
    const parts = (from) => [".panels", ".description"].map((name) => from.querySelector(name)).filter(Boolean);
    const giveBack = () => {
      if (!shown) return;
      shown.append(...parts(dialog));
      shown.style.removeProperty("block-size");
      whole.replaceChildren();
      shown = null;
    };
    const visible = () => [...grid.querySelectorAll(".tile:not([hidden])")];
    const show = (tile) => {
      giveBack();
      tile.style.setProperty("block-size", `${tile.offsetHeight}px`);
      shown = tile;
      const [picture, [description, panels]] = [tile.querySelector(".picture"), parts(tile).reverse()];
      if (panels) compare(picture, panels);
      else slider.hidden = true;
      whole.style.setProperty("--ratio", ratio(picture));
      whole.replaceChildren(copyOf(picture), ...(panels ? [panels] : []));
      beside.replaceChildren(description);
      dialog.setAttribute("aria-labelledby", `${tile.id}-title`);
      const tiles = visible();
      const name = description.querySelector("h3").textContent;
      part(".place").textContent = `${tiles.indexOf(tile) + 1} of ${tiles.length}: ${name}`;
      if (!dialog.open) dialog.showModal();
      stage.scrollTop = beside.scrollTop = dialog.scrollTop = 0;
      history.replaceState(null, "", `#${tile.id}`);
    };
    const step = (by) => {
      const tiles = visible();
      if (tiles.length) show(tiles[(tiles.indexOf(shown) + by + tiles.length) % tiles.length]);
    };

    for (const picture of grid.querySelectorAll(".picture")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "open";
      button.setAttribute("aria-haspopup", "dialog");
      picture.replaceWith(button);
      button.append(picture);
      button.addEventListener("click", () => show(button.closest(".tile")));
    }
    range.addEventListener("input", slide);
    part(".previous").addEventListener("click", () => step(-1));
    part(".next").addEventListener("click", () => step(1));
    part(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => {
      const tile = shown;
      giveBack();
      if (tile) tile.querySelector(".open").focus();
      history.replaceState(null, "", "#pictures");
    });
    addEventListener("beforeprint", () => dialog.close());

    const own = (event) => event.target.closest("input, .scroll");
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || own(event) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      step(by);
    });
    let from = null;
    dialog.addEventListener("pointerdown", (event) => {
      from = event.pointerType === "mouse" || own(event) ? null : event;
    });
    dialog.addEventListener("pointercancel", () => { from = null; });
    dialog.addEventListener("pointerup", (event) => {
      if (!from || from.pointerId !== event.pointerId) return;
      const [x, y] = [event.clientX - from.clientX, event.clientY - from.clientY];
      from = null;
      if (Math.abs(x) > 48 && Math.abs(x) > 2 * Math.abs(y)) step(x < 0 ? 1 : -1);
    });

    const named = () => {
      const tile = location.hash && document.getElementById(location.hash.slice(1));
      if (tile && tile.classList.contains("tile") && tile !== shown) show(tile);
    };
    addEventListener("hashchange", named);
    named();
  }
}
