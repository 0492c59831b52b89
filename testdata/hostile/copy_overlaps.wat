;; attacks: metering.split, with overlapping copies of odd lengths, up and down, longer than a piece; tool 2 copies in pieces from below, as a wrong split would
;; with: nothing
;; gets: answers -2125017111279305234
;; control: raw: answers -2125017111279305234
;; control: raw, with tool=2: answers 3029871726761330929
(module
  (memory (export "memory") 65)
  (func $paint (local $i i32)
    (local.set $i (i32.const 65536))
    (loop $next
      (i32.store (local.get $i) (i32.mul (local.get $i) (i32.const 0x9e3779b1)))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 4259840)))))
  (func $sum (result i64) (local $i i32) (local $s i64)
    (local.set $i (i32.const 65536))
    (loop $next
      (local.set $s (i64.add
        (i64.rotl (i64.mul (local.get $s) (i64.const 0x9e3779b97f4a7c15)) (i64.const 23))
        (i64.load (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 4259840))))
    (local.get $s))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $at i32)
    (if (i32.eq (local.get $tool) (i32.const 1)) (then (return (call $answer (i64.const 42)))))
    (call $paint)
    (if (i32.eq (local.get $tool) (i32.const 0)) (then
      (memory.copy (i32.const 70001) (i32.const 65537) (i32.const 3145731))
      (memory.copy (i32.const 65539) (i32.const 70003) (i32.const 2097155))
      (memory.copy (i32.const 65536) (i32.const 65536) (i32.const 3145731))
      (memory.copy (i32.const 1114112) (i32.const 65536) (i32.const 1048577))
      (memory.copy (i32.const 4194304) (i32.const 4194303) (i32.const 0))
      (memory.fill (i32.const 3000001) (i32.const 0x1a5) (i32.const 1048579)))
      (else
        (loop $next
          (memory.copy
            (i32.add (i32.const 70001) (local.get $at))
            (i32.add (i32.const 65537) (local.get $at))
            (i32.const 1048577))
          (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1048577))) (i32.const 3145731))))
        (memory.copy (i32.const 65539) (i32.const 70003) (i32.const 2097155))
        (memory.copy (i32.const 65536) (i32.const 65536) (i32.const 3145731))
        (memory.copy (i32.const 1114112) (i32.const 65536) (i32.const 1048577))
        (memory.fill (i32.const 3000001) (i32.const 0x1a5) (i32.const 1048579))))
    (call $answer (call $sum))))
