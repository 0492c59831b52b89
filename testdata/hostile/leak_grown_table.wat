;; attacks: state.call, with how large a table is
;; with: nothing
;; gets: answers 1
;; after: answers 8
;; control: raw, twice: answers 9
(module
  (memory (export "memory") 1)
  (table $t 8 externref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.extend_i32_u (table.size $t))))))
    (drop (table.grow $t (ref.null extern) (i32.const 1)))
    (call $answer (i64.const 1))))
