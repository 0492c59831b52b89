;; attacks: limits.table_elements, with three tables of which each is within it
;; with: table_elements=1000
;; gets: answers 1000
;; control: raw: answers 2400
(module
  (memory (export "memory") 1)
  (table $a 0 funcref)
  (table $b 0 funcref)
  (table $c 0 externref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (drop (table.grow $a (ref.null func) (i32.const 800)))
    (drop (table.grow $b (ref.null func) (i32.const 200)))
    (drop (table.grow $b (ref.null func) (i32.const 600)))
    (drop (table.grow $c (ref.null extern) (i32.const 800)))
    (call $answer (i64.extend_i32_u (i32.add (table.size $a) (i32.add (table.size $b) (table.size $c)))))))
