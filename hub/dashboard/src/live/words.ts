// Texts that many lamps share, as numbers: a street's name is kept once, not once a lamp.

export class Words {
  readonly words: string[] = [];
  #numbers = new Map<string, number>();
  #told = 0;

  number(word: string): number {
    const known = this.#numbers.get(word);
    if (known !== undefined) return known;
    const number = this.words.push(word) - 1;
    this.#numbers.set(word, number);
    return number;
  }

  /** Those that were added since the last time. */
  takeNew(): string[] {
    const fresh = this.words.slice(this.#told);
    this.#told = this.words.length;
    return fresh;
  }
}
