//! Layered layout of a data flow: values above, what uses them below.
//!
//! After Sugiyama, Tagawa and Toda 1981: nodes are put into layers by their longest path, ordered
//! within the layers so that few edges cross (barycentres, then swaps of neighbours), and moved to
//! where their edges are short and straight. All edges from a node share one line down to the layer
//! before each of their ends, so that a value that is used in many places does not fill the
//! picture.

/// Space between two boxes of a layer.
const BOX_GAP: f64 = 26.0;
/// Space between a line and its neighbour in a layer.
const LINE_GAP: f64 = 16.0;
/// Height of the space between two layers.
const LAYER_GAP: f64 = 42.0;
/// More places on long lines than this are not laid out: the lines then go straight.
const MOST_BENDS: usize = 20_000;

/// Where a node belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Top,
    Between,
    Bottom,
}

/// A box to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub width: f64,
    pub height: f64,
    pub place: Place,
}

/// The course of an edge: a line through points at which it is vertical.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Course {
    pub points: Vec<(f64, f64)>,
}

/// Where everything is; the upper left corner of the whole is (0, 0).
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Centre of each box.
    pub centres: Vec<(f64, f64)>,
    /// For each edge.
    pub courses: Vec<Course>,
    pub width: f64,
    pub height: f64,
}

/// A box or a place on a long line.
struct Cell {
    layer: usize,
    width: f64,
    is_box: bool,
    x: f64,
}

/// Lays out boxes and the edges between them, each from an earlier box to a later one.
pub(super) fn layout(items: &[Item], edges: &[(usize, usize)]) -> Layout {
    let layers = layers(items, edges);
    let mut cells: Vec<Cell> = items
        .iter()
        .zip(&layers)
        .map(|(item, layer)| Cell { layer: *layer, width: item.width, is_box: true, x: 0.0 })
        .collect();

    // The line of each node, layer by layer, and the neighbours of each cell.
    let mut deepest: Vec<usize> = layers.clone();
    for (from, to) in edges {
        deepest[*from] = deepest[*from].max(layers[*to]);
    }
    let bends: usize = deepest
        .iter()
        .zip(&layers)
        .map(|(deepest, layer)| (deepest - layer).saturating_sub(1))
        .sum();
    let straight = bends > MOST_BENDS;
    let mut lines: Vec<Vec<usize>> = (0..items.len()).map(|index| vec![index]).collect();
    let mut links: Vec<(usize, usize)> = Vec::new();
    if !straight {
        for (node, line) in lines.iter_mut().enumerate() {
            for layer in layers[node] + 1..deepest[node] {
                let cell = cells.len();
                cells.push(Cell { layer, width: 0.0, is_box: false, x: 0.0 });
                links.push((*line.last().unwrap_or(&node), cell));
                line.push(cell);
            }
        }
    }
    for (from, to) in edges {
        let above = layers[*to] - 1 - layers[*from];
        links.push((lines[*from][above.min(lines[*from].len() - 1)], *to));
    }
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); cells.len()];
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); cells.len()];
    for (from, to) in &links {
        below[*from].push(*to);
        above[*to].push(*from);
    }

    let mut rows: Vec<Vec<usize>> =
        vec![Vec::new(); layers.iter().max().map_or(0, |last| last + 1)];
    for (cell, Cell { layer, .. }) in cells.iter().enumerate() {
        rows[*layer].push(cell);
    }
    order(&mut rows, &above, &below);
    place(&rows, &mut cells, &above, &below);
    straighten(&rows, &mut cells, &lines);

    // Down the page.
    let heights: Vec<f64> = rows
        .iter()
        .map(|row| {
            row.iter().filter(|c| cells[**c].is_box).map(|c| items[*c].height).fold(0.0, f64::max)
        })
        .collect();
    let mut tops = Vec::with_capacity(rows.len());
    let mut y = 0.0;
    for height in &heights {
        tops.push(y);
        y += height + LAYER_GAP;
    }
    let left = cells.iter().map(|cell| cell.x - cell.width / 2.0).fold(f64::INFINITY, f64::min);
    let right =
        cells.iter().map(|cell| cell.x + cell.width / 2.0).fold(f64::NEG_INFINITY, f64::max);
    if cells.is_empty() {
        return Layout { centres: Vec::new(), courses: Vec::new(), width: 0.0, height: 0.0 };
    }
    cells.iter_mut().for_each(|cell| cell.x -= left);
    let centre = |node: usize| (cells[node].x, tops[layers[node]] + heights[layers[node]] / 2.0);

    let ports = ports(items, edges, |edge| {
        let (from, to) = edges[edge];
        let line = &lines[from];
        cells[line[(layers[to] - 1 - layers[from]).min(line.len() - 1)]].x
    });
    let courses = edges.iter().zip(ports).map(|((from, to), port)| {
        let (x, y) = centre(*from);
        let bottom = |layer: usize| tops[layer] + heights[layer];
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut go_to = |x: f64, y: f64| {
            // A box as high as its layer has no way to go to the layer's edge, and of a straight
            // part the ends are enough.
            if points
                .last()
                .is_some_and(|last| (last.0 - x).abs() < 1e-9 && (last.1 - y).abs() < 1e-9)
            {
                return;
            }
            if let [.., before, last] = &mut points[..]
                && (before.0 - x).abs() < 1e-9
                && (last.0 - x).abs() < 1e-9
            {
                last.1 = y;
            } else {
                points.push((x, y));
            }
        };
        go_to(x, y + items[*from].height / 2.0);
        go_to(x, bottom(layers[*from]));
        for cell in lines[*from].iter().skip(1).take(layers[*to] - 1 - layers[*from]) {
            go_to(cells[*cell].x, tops[cells[*cell].layer]);
            go_to(cells[*cell].x, bottom(cells[*cell].layer));
        }
        let (x, y) = centre(*to);
        go_to(x + port, tops[layers[*to]]);
        go_to(x + port, y - items[*to].height / 2.0);
        Course { points }
    });
    Layout {
        courses: courses.collect(),
        centres: (0..items.len()).map(centre).collect(),
        width: right - left,
        height: (y - LAYER_GAP).max(0.0),
    }
}

/// The layer of each box. Boxes with at most one edge into them stand as low as they can, near to
/// what uses them.
fn layers(items: &[Item], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layers = vec![0_usize; items.len()];
    let mut into = vec![0_usize; items.len()];
    let mut by_start: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (from, to) in edges {
        by_start[*from].push(*to);
        into[*to] += 1;
    }
    for from in 0..items.len() {
        let least = usize::from(items[from].place != Place::Top);
        layers[from] = layers[from].max(least);
        for to in &by_start[from] {
            layers[*to] = layers[*to].max(layers[from] + 1);
        }
    }
    let last_between = layers
        .iter()
        .zip(items)
        .filter(|(_, i)| i.place != Place::Bottom)
        .map(|(layer, _)| *layer)
        .max()
        .unwrap_or(0);
    for (layer, item) in layers.iter_mut().zip(items) {
        if item.place == Place::Bottom {
            *layer = last_between + 1;
        }
    }
    for node in (0..items.len()).rev() {
        let lowest = by_start[node].iter().map(|to| layers[*to] - 1).min();
        if let Some(lowest) = lowest
            && items[node].place == Place::Between
            && into[node] <= 1
        {
            layers[node] = layers[node].max(lowest);
        }
    }
    layers
}

/// Orders the rows so that few links cross.
fn order(rows: &mut Vec<Vec<usize>>, above: &[Vec<usize>], below: &[Vec<usize>]) {
    let cells: usize = rows.iter().map(Vec::len).sum();
    let sweeps = if cells > 4_000 { 2 } else { 16 };
    let mut position = vec![0_usize; above.len()];
    let number = |row: &[usize], position: &mut [usize]| {
        row.iter().enumerate().for_each(|(place, cell)| position[*cell] = place)
    };
    rows.iter().for_each(|row| number(row, &mut position));
    let mut best = rows.clone();
    let mut least = usize::MAX;
    for sweep in 0..sweeps {
        let down = sweep % 2 == 0;
        let neighbours = if down { above } else { below };
        let count = rows.len();
        for step in 1..count {
            let row = &mut rows[if down { step } else { count - 1 - step }];
            // Cells without neighbours keep their places.
            let mut keyed: Vec<(f64, usize)> = row
                .iter()
                .map(|cell| {
                    let places = neighbours[*cell].iter().map(|other| position[*other] as f64);
                    let count = neighbours[*cell].len();
                    (
                        if count == 0 {
                            position[*cell] as f64
                        } else {
                            places.sum::<f64>() / count as f64
                        },
                        *cell,
                    )
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *row = keyed.into_iter().map(|(_, cell)| cell).collect();
            number(row, &mut position);
        }
        if cells <= 4_000 {
            swap_neighbours(rows, above, below, &mut position);
        }
        let crossings: usize = rows.iter().map(|row| crossings(row, below, &position)).sum();
        if crossings < least {
            least = crossings;
            best.clone_from(rows);
        }
        if least == 0 {
            break;
        }
    }
    *rows = best;
}

/// How many links below a row cross each other.
fn crossings(row: &[usize], below: &[Vec<usize>], position: &[usize]) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    let mut count = 0;
    for cell in row {
        let own: Vec<usize> = below[*cell].iter().map(|to| position[*to]).collect();
        count += own
            .iter()
            .map(|end| ends.len() - ends.partition_point(|other| other <= end))
            .sum::<usize>();
        ends.extend(own);
        ends.sort_unstable();
    }
    count
}

/// Swaps neighbours where that takes crossings away.
fn swap_neighbours(
    rows: &mut [Vec<usize>],
    above: &[Vec<usize>],
    below: &[Vec<usize>],
    position: &mut [usize],
) {
    for _ in 0..8 {
        let mut changed = false;
        for row in rows.iter_mut() {
            for place in 1..row.len() {
                let (left, right) = (row[place - 1], row[place]);
                let crossed = |left: usize, right: usize| {
                    let between = |links: &[Vec<usize>]| {
                        let pairs = links[left]
                            .iter()
                            .flat_map(|a| links[right].iter().map(move |b| (*a, *b)));
                        pairs.filter(|(a, b)| position[*a] > position[*b]).count()
                    };
                    between(above) + between(below)
                };
                if crossed(right, left) < crossed(left, right) {
                    row.swap(place - 1, place);
                    (position[left], position[right]) = (place, place - 1);
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

/// The least distance between the centres of two neighbours in a row.
fn gap(a: &Cell, b: &Cell) -> f64 {
    (a.width + b.width) / 2.0 + if a.is_box && b.is_box { BOX_GAP } else { LINE_GAP }
}

/// Moves the cells of ordered rows to where the links are short: each row in turn to the least
/// squares of its links, under the order and the gaps (an isotonic regression).
fn place(rows: &[Vec<usize>], cells: &mut [Cell], above: &[Vec<usize>], below: &[Vec<usize>]) {
    for row in rows {
        let mut x = 0.0;
        for (place, cell) in row.iter().enumerate() {
            if place > 0 {
                x += gap(&cells[row[place - 1]], &cells[*cell]);
            }
            cells[*cell].x = x;
        }
        let middle = x / 2.0;
        row.iter().for_each(|cell| cells[*cell].x -= middle);
    }
    let rounds = if cells.len() > 4_000 { 6 } else { 60 };
    for round in 0..rounds {
        let mut indices: Vec<usize> = (0..rows.len()).collect();
        if round % 2 == 1 {
            indices.reverse();
        }
        for row in indices.into_iter().map(|index| &rows[index]) {
            // Distances that the order asks for are taken off first; then the wishes need only not
            // decrease.
            let mut offset = 0.0;
            let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
            let mut offsets = Vec::with_capacity(row.len());
            for (place, cell) in row.iter().enumerate() {
                if place > 0 {
                    offset += gap(&cells[row[place - 1]], &cells[*cell]);
                }
                offsets.push(offset);
                let (mut wish, mut weight) = (0.0, 0.0);
                for other in above[*cell].iter().chain(&below[*cell]) {
                    // Lines should be straight; boxes can be off.
                    let pull = match (cells[*cell].is_box, cells[*other].is_box) {
                        (true, true) => 1.0,
                        (false, false) => 8.0,
                        _ => 2.0,
                    };
                    wish += pull * cells[*other].x;
                    weight += pull;
                }
                let wish = if weight == 0.0 { cells[*cell].x } else { wish / weight };
                blocks.push((wish - offset, weight.max(0.01), 1));
                while let [.., before, last] = &mut blocks[..]
                    && before.0 > last.0
                {
                    let weight = before.1 + last.1;
                    *before = (
                        (before.0 * before.1 + last.0 * last.1) / weight,
                        weight,
                        before.2 + last.2,
                    );
                    blocks.pop();
                }
            }
            let values =
                blocks.iter().flat_map(|(value, _, count)| std::iter::repeat_n(*value, *count));
            for ((cell, offset), value) in row.iter().zip(&offsets).zip(values) {
                cells[*cell].x = value + offset;
            }
        }
    }
}

/// Makes the long lines straight for as many layers at a time as their neighbours let them.
fn straighten(rows: &[Vec<usize>], cells: &mut [Cell], lines: &[Vec<usize>]) {
    let mut position = vec![0_usize; cells.len()];
    rows.iter()
        .for_each(|row| row.iter().enumerate().for_each(|(place, cell)| position[*cell] = place));
    for line in lines {
        let mut x = cells[line[0]].x;
        let mut rest = &line[1..];
        while !rest.is_empty() {
            let (mut least, mut most, mut count) = (f64::NEG_INFINITY, f64::INFINITY, 0);
            for cell in rest {
                let row = &rows[cells[*cell].layer];
                let place = position[*cell];
                let left = place.checked_sub(1).map_or(f64::NEG_INFINITY, |left| {
                    cells[row[left]].x + gap(&cells[row[left]], &cells[*cell])
                });
                let right = row.get(place + 1).map_or(f64::INFINITY, |right| {
                    cells[*right].x - gap(&cells[*cell], &cells[*right])
                });
                // Rounding may leave a cell that touches both of its neighbours no room at all; it
                // then stays.
                if count > 0 && (least.max(left) > most.min(right)) {
                    break;
                }
                (least, most, count) = (least.max(left), most.min(right), count + 1);
            }
            let (run, after) = rest.split_at(count);
            if least <= most {
                x = x.clamp(least, most);
                run.iter().for_each(|cell| cells[*cell].x = x);
            }
            rest = after;
        }
    }
}

/// For each edge how far from the centre of its end it arrives: in the order in which the lines
/// come from above.
fn ports(items: &[Item], edges: &[(usize, usize)], comes_from: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut by_end: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (edge, (_, to)) in edges.iter().enumerate() {
        by_end[*to].push(edge);
    }
    let mut ports = vec![0.0; edges.len()];
    for (node, mut arriving) in by_end.into_iter().enumerate() {
        arriving.sort_by(|a, b| comes_from(*a).total_cmp(&comes_from(*b)));
        let count = arriving.len() as f64;
        for (place, edge) in arriving.into_iter().enumerate() {
            ports[edge] = items[node].width * ((place as f64 + 1.0) / (count + 1.0) - 0.5);
        }
    }
    ports
}
