#include <stddef.h>

/* A sum of numbers that come one by one, in a tree whose shape depends on their number only. */
typedef struct {
  double levels[64];
  size_t count;
} NAME_tree;

static inline void NAME_tree_add(NAME_tree *tree, double value) {
  size_t level = 0;
  for (size_t count = tree->count; count % 2 == 1; count /= 2) {
    value += tree->levels[level];
    level++;
  }
  tree->levels[level] = value;
  tree->count++;
}

static inline double NAME_tree_sum(const NAME_tree *tree) {
  double sum = 0.0;
  size_t level = 0;
  int empty = 1;
  for (size_t count = tree->count; count > 0; count /= 2) {
    if (count % 2 == 1) {
      sum = empty ? tree->levels[level] : tree->levels[level] + sum;
      empty = 0;
    }
    level++;
  }
  return sum;
}
