// The gallery: which tiles are shown, and in which order. What a tile is found by stands in it.
{
  const form = document.querySelector("#filters");
  if (form) {
    const section = form.closest("section");
    const grid = section.querySelector("#tiles");
    const field = (name) => form.elements.namedItem(name);
    const picks = ["suite", "network", "verdict", "answer", "sample"];
    const several = { answer: "answers" };
    const values = (facet, name) => [].concat(facet[several[name] || name]);
    const tiles = [...grid.children].map((tile) => ({
      tile,
      album: tile.dataset.album,
      heading: tile.querySelector("h3").textContent,
      facets: JSON.parse(tile.dataset.facets),
    }));
    const only = document.querySelector("input[name=album]") ? "" : tiles[0].album;
    const facets = tiles.flatMap((entry) => entry.facets);
    const distinct = (list) => [...new Set(list)].filter(Boolean);

    // A filter of which all pictures have one value finds nothing.
    for (const name of picks) {
      const choices = distinct(facets.flatMap((facet) => values(facet, name)));
      field(name).append(...choices.map((value) => new Option(value, value)));
      field(name).closest("label").hidden = choices.length < 2;
    }
    const classes = distinct(facets.flatMap((facet) => facet.classes)).sort();
    form.querySelector("#classes").append(...classes.map((value) => new Option("", value)));
    form.querySelector(".confidence-range").hidden = facets.every((facet) => facet.confidence === null);

    const share = (name, otherwise) => field(name).value === "" ? otherwise : Number(field(name).value) / 100;
    const filters = () => {
      const album = document.querySelector("input[name=album]:checked");
      const chosen = picks.map((name) => [name, field(name).value]).filter(([, value]) => value);
      const part = field("class").value.trim().toLowerCase();
      const [low, high] = [share("from", 0), share("to", 1)];
      const anywhere = low <= 0 && high >= 1;
      return {
        album: album ? album.value : only,
        facet: (facet) =>
          chosen.every(([name, value]) => values(facet, name).includes(value))
          && (!part || facet.classes.some((name) => name.toLowerCase().includes(part)))
          && (anywhere || (facet.confidence !== null && low <= facet.confidence && facet.confidence <= high)),
      };
    };

    const last = Number.NEGATIVE_INFINITY;
    const orders = {
      log: () => 0,
      high: (first, second) => second.surest - first.surest,
      low: (first, second) => (first.surest === last) - (second.surest === last) || first.surest - second.surest,
      heading: (first, second) => first.heading.localeCompare(second.heading),
    };
    let order = "log";
    const update = () => {
      const { album, facet } = filters();
      let shown = 0;
      for (const entry of tiles) {
        const matching = entry.facets.filter(facet);
        entry.surest = Math.max(...matching.map((each) => each.confidence ?? last), last);
        entry.tile.hidden = !matching.length || (album !== "" && album !== entry.album);
        shown += !entry.tile.hidden;
      }
      if (field("order").value !== "log" || order !== "log") {
        order = field("order").value;
        grid.append(...[...tiles].sort(orders[order]).map((entry) => entry.tile));
      }
      for (const meaning of section.querySelectorAll(".meanings > *")) meaning.hidden = meaning.dataset.album !== album;
      const count = (number) => number.toLocaleString("en");
      const all = `${count(tiles.length)} picture${tiles.length === 1 ? "" : "s"}`;
      section.querySelector("#shown-count").textContent = shown === tiles.length ? all : `${count(shown)} of ${all}`;
      section.querySelector("#nothing").hidden = shown > 0;
    };
    section.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(update));
    section.classList.add("lively");
    update();
  }
}
