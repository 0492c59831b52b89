;; attacks: limits.table_elements, where no bound on memory counts
;; with: table_elements=1000
;; gets: answers 1000
;; control: raw: answers 5000000
;; control: with table_elements=1000000: answers 1000000
(module
  (memory (export "memory") 1)
  (table $t 10 6000000 funcref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (block $full
      (loop $more
        (br_if $full (i32.eq (table.grow $t (ref.null func) (i32.const 10)) (i32.const -1)))
        (br_if $more (i32.lt_u (table.size $t) (i32.const 5000000)))))
    (call $answer (i64.extend_i32_u (table.size $t)))))
