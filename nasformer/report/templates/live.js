"use strict";
(() => {
  const banner = document.querySelector(".live");
  const { state, seconds } = banner.dataset;
  const folds = () => [...document.querySelectorAll("details")];

  // The browser keeps the scroll position of a reload; the open folds are kept here.
  const open = JSON.parse(sessionStorage.getItem("open") ?? "[]");
  folds().forEach((fold, place) => (fold.open ||= open.includes(place)));
  const reload = () => {
    sessionStorage.setItem("open", JSON.stringify(folds().flatMap((fold, place) => (fold.open ? [place] : []))));
    location.reload();
  };

  const look = async () => {
    try {
      const answer = await fetch("state", { cache: "no-store" });
      if (answer.ok && (await answer.text()) !== state) return reload();
    } catch {
      banner.textContent = "nasformer watch was stopped: this is the page as it was then.";
    }
    setTimeout(look, 1000 * seconds);
  };
  setTimeout(look, 1000 * seconds);
})();
